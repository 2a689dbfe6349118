package unwrap

import (
	"compress/bzip2"
	"errors"
	"io"
	"strings"

	"ingest/internal/errcode"
)

// A bzip2Reader reads streams one after the other.
type bzip2Reader struct {
	in  *tail
	dec io.Reader
}

func newBzip2(in *input) *bzip2Reader {
	t := &tail{input: in}
	return &bzip2Reader{in: t, dec: bzip2.NewReader(t)}
}

// A tail is an input that remembers the last two bytes. The decoder takes it
// bytewise, and not a byte more than it needs.
type tail struct {
	*input
	last [2]byte
}

// ReadByte reads a byte.
func (t *tail) ReadByte() (byte, error) {
	b, err := t.input.ReadByte()
	if err == nil {
		t.last = [2]byte{t.last[1], b}
	}
	return b, err
}

// Read decompresses. Behind a stream the decoder takes two bytes, and if they do
// not begin another one it says so and ends.
func (b *bzip2Reader) Read(p []byte) (int, error) {
	n, err := b.dec.Read(p)
	var structural bzip2.StructuralError
	if !errors.As(err, &structural) || !strings.Contains(string(structural), "continuation") {
		return n, err
	}
	if b.in.last != [2]byte{} {
		return n, b.in.place("end", "").Refuse(errcode.TrailingData, nil, "zeros", "there is something else behind the end of the bzip2")
	}
	return n, b.in.rest()
}
