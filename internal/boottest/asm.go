package boottest

import (
	"encoding/binary"
	"fmt"
)

// An assembler puts 16-bit machine code together: bytes as they are, and
// references to labels that are filled in at the end.
type assembler struct {
	org    int // address of the first byte
	code   []byte
	labels map[string]int
	refs   []reference
}

// A reference is a place in the code that depends on a label.
type reference struct {
	at    int
	label string
	kind  refKind
	add   int
}

type refKind uint8

const (
	absolute refKind = iota // 2 bytes: the address
	near                    // 2 bytes: the distance from the byte behind
	short                   // 1 byte: likewise
)

// emit appends bytes.
func (a *assembler) emit(b ...byte) { a.code = append(a.code, b...) }

// label gives the next byte's address a name.
func (a *assembler) label(name string) { a.labels[name] = len(a.code) }

// abs appends an instruction's bytes and the label's address plus add.
func (a *assembler) abs(label string, add int, b ...byte) {
	a.emit(b...)
	a.refer(reference{label: label, kind: absolute, add: add}, 2)
}

// jump appends a jump of two bytes, op and the distance to the label.
func (a *assembler) jump(op byte, label string) {
	a.emit(op)
	a.refer(reference{label: label, kind: short}, 1)
}

// far appends a jump or call with a distance of two bytes.
func (a *assembler) far(label string, op ...byte) {
	a.emit(op...)
	a.refer(reference{label: label, kind: near}, 2)
}

func (a *assembler) refer(r reference, n int) {
	r.at = len(a.code)
	a.refs = append(a.refs, r)
	a.emit(make([]byte, n)...)
}

// link fills the references in and returns the code.
func (a *assembler) link() []byte {
	for _, r := range a.refs {
		to, ok := a.labels[r.label]
		if !ok {
			panic(fmt.Sprintf("boottest: no label %q", r.label))
		}
		switch r.kind {
		case absolute:
			binary.LittleEndian.PutUint16(a.code[r.at:], uint16(a.org+to+r.add))
		case near:
			binary.LittleEndian.PutUint16(a.code[r.at:], uint16(to-r.at-2))
		case short:
			d := to - r.at - 1
			if d < -128 || d > 127 {
				panic(fmt.Sprintf("boottest: label %q is %d bytes away", r.label, d))
			}
			a.code[r.at] = byte(int8(d))
		}
	}
	return a.code
}
