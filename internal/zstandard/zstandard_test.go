package zstandard

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// program returns n bytes of this test's own program.
func program(tb testing.TB, n int) []byte {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	f, err := os.Open(exe)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, n)
	if _, err := io.ReadFull(f, p); err != nil {
		tb.Fatal(err)
	}
	return p
}

// fibonacci returns bytes whose codes want to be longer than is allowed.
func fibonacci() []byte {
	var p []byte
	a, b := 1, 1
	for s := byte(0); len(p)+a < 1<<17; s++ {
		p = append(p, bytes.Repeat([]byte{s}, a)...)
		a, b = b, a+b
	}
	rng := rand.New(rand.NewPCG(4, 4))
	rng.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// spaced returns matches of a few bytes behind noise, at distances of all sizes: those
// take as many extra bits as there are.
func spaced(n int) []byte {
	rng := rand.New(rand.NewPCG(5, 5))
	p := make([]byte, 0, n)
	for len(p) < n {
		for range 1 + 1<<rng.IntN(14)&rng.IntN(1<<14) {
			p = append(p, byte(rng.Uint32()))
		}
		from := max(0, len(p)-1-rng.IntN(1+1<<rng.IntN(17)))
		length := 4 + rng.IntN(1+1<<rng.IntN(14))
		for i := range length {
			p = append(p, p[from+i])
		}
	}
	return p[:n]
}

// materials are bytes of all kinds.
func materials(tb testing.TB) map[string][]byte {
	tb.Helper()
	const n = 1 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	made := func(fn func(i int) byte) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = fn(i)
		}
		return p
	}
	m := map[string][]byte{
		"program":   program(tb, n),
		"zeros":     make([]byte, n),
		"noise":     made(func(int) byte { return byte(rng.Uint32()) }),
		"few":       made(func(int) byte { return "abcd"[rng.IntN(4)] }),
		"two":       made(func(int) byte { return "ab"[rng.IntN(20)/19] }),
		"far":       made(func(int) byte { return byte(255 - rng.IntN(20)*rng.IntN(8)) }),
		"skewed":    made(func(int) byte { f := rng.Float64(); return byte(f * f * f * f * f * f * 256) }),
		"numbers":   made(func(i int) byte { return byte(i >> 2 >> (8 * (i & 3))) }),
		"mixed":     program(tb, n),
		"spaced":    spaced(n),
		"fibonacci": fibonacci(),
		// All bytes in turn: no code helps, and matches are all there is.
		"alphabet": made(func(i int) byte { return byte(i*167 + i>>8) }),
	}
	for i := 0; i < n; i += 48 << 10 { // pieces that do not end where blocks do
		copy(m["mixed"][i:min(n, i+24<<10)], m["noise"][i:])
	}
	// Noise that comes again at distances around history.
	for _, period := range []int{1, 2, 3, 7, 255, 4096, 65535, 65536, 65537} {
		m[fmt.Sprint("period ", period)] = bytes.Repeat(m["noise"][:period], n/period+1)[:n]
	}
	return m
}

// holds fails unless z is a frame of p that all decoders take.
func holds(tb testing.TB, d *zstd.Decoder, z, p []byte) *walker {
	tb.Helper()
	if got, err := d.DecodeAll(z, nil); err != nil || !bytes.Equal(got, p) {
		tb.Fatalf("decoder: %v; %d bytes of %d", err, len(got), len(p))
	}
	w := newWalker(z)
	if err := w.walk(); err != nil || !bytes.Equal(w.out, p) {
		tb.Fatalf("walker: %v; %d bytes of %d", err, len(w.out), len(p))
	}
	if w.far > history {
		tb.Fatalf("a distance of %d", w.far)
	}
	if most := len(p) + maxHeader + blockHeader*(len(p)/blockSize+1); len(z) > most {
		tb.Fatalf("%d bytes became %d", len(p), len(z))
	}
	return w
}

func decoder(tb testing.TB) *zstd.Decoder {
	tb.Helper()
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// TestRoundTrip compresses all kinds of bytes in many sizes, and holds that every way to
// write a section, a table and an offset is taken at some time.
func TestRoundTrip(t *testing.T) {
	d, e := decoder(t), New()
	seen := map[string]int{}
	for name, p := range materials(t) {
		sizes := []int{0, 1, 2, 15, 16, 17, 31, 40, 255, 256, 257, 300, 900, 1023, 1024, 1100, 4096, 5000, 16383, 16384, 20000, 65535, 65536, 65537, 65791, 65792, 65793, 131072, 200001, 1 << 20}
		for _, n := range sizes {
			n = min(n, len(p))
			z, ok := e.Frame(nil, p[:n], 1<<30)
			if !ok {
				t.Fatalf("%s: no room", name)
			}
			w := holds(t, d, z, p[:n])
			w.tell(seen)
			if w.deepest > maxHuffman || w.sequences > maxSequences {
				t.Errorf("%s: a code of %d bits, %d sequences", name, w.deepest, w.sequences)
			}
		}
	}
	for _, want := range []string{
		"block raw", "block compressed",
		"literals kind 0 head 1", "literals kind 0 head 2", "literals kind 0 head 3",
		"literals kind 2 format 0", "literals kind 2 format 1", "literals kind 2 format 2", "literals kind 2 format 3",
		"weights plain", "weights FSE", "code of 11 bits",
		"table 0 mode 0", "table 0 mode 1", "table 0 mode 2", "table 1 mode 0", "table 1 mode 1", "table 1 mode 2",
		"table 2 mode 0", "table 2 mode 1", "table 2 mode 2", "table 0 log 9", "table 1 log 8", "table 2 log 9",
		"offset 1 with literals", "offset 2 with literals", "offset 3 with literals", "offset 1 without literals",
		"distance 65536", "sequences by two bytes", "match of 32770 bytes", "16383 literals in a sequence",
	} {
		if seen[want] == 0 {
			t.Errorf("never seen: %s", want)
		}
	}
	t.Log(seen)
}

// TestSameBytesWhateverWasBefore compresses with an encoder that is new, and with
// one that has seen other bytes.
func TestSameBytesWhateverWasBefore(t *testing.T) {
	used := New()
	for name, p := range materials(t) {
		for _, n := range []int{1, 20, 513, 65536, 100000} {
			want, _ := New().Frame(nil, p[:n], 1<<30)
			if got, _ := used.Frame([]byte("head"), p[:n], 1<<30); string(got[:4]) != "head" || !bytes.Equal(got[4:], want) {
				t.Fatalf("%s, %d bytes: another frame", name, n)
			}
		}
	}
}

// TestLimit gives one byte too little, and exactly enough.
func TestLimit(t *testing.T) {
	e := New()
	for name, p := range materials(t) {
		for _, n := range []int{0, 1, 700, 65536, 100000} {
			z, _ := e.Frame(nil, p[:n], 1<<30)
			got, ok := e.Frame([]byte("head"), p[:n], len(z)-1)
			if ok || string(got) != "head" {
				t.Errorf("%s, %d bytes: room of %d bytes is enough for %d", name, n, len(z)-1, len(z))
			}
			if got, ok = e.Frame(nil, p[:n], len(z)); !ok || !bytes.Equal(got, z) {
				t.Errorf("%s, %d bytes: room of %d bytes is too little, or gives others", name, n, len(z))
			}
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	e, p := New(), program(t, 64<<10)
	dst := make([]byte, 0, 128<<10)
	if n := testing.AllocsPerRun(5, func() { e.Frame(dst, p, len(p)-1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLiteralsOfOneByte writes sections of each size of header.
func TestLiteralsOfOneByte(t *testing.T) {
	e := New()
	for _, n := range []int{leastHuffman, 4095, 4096, blockSize} {
		p := bytes.Repeat([]byte{7}, n)
		e.w.reset()
		e.l.write(&e.w, p)
		w := newWalker(nil)
		got, rest := w.section(e.w.out[:e.w.pos])
		if !bytes.Equal(got, p) || len(rest) > 0 || e.w.pos > 4 {
			t.Errorf("%d literals: %d came out of %d bytes, %d are left", n, len(got), e.w.pos, len(rest))
		}
	}
}

// TestBitsHaveRoom holds that the largest block's bits fit, whatever they are.
func TestBitsHaveRoom(t *testing.T) {
	// Literals as they are, and sequences of the least matches with the most bits.
	if most := blockSize + maxSequences*maxSequenceBits/8 + 1024; most > room {
		t.Errorf("%d bytes in room for %d", most, room)
	}
	if maxSequences >= 0x7F00 {
		t.Errorf("%d sequences want three bytes", maxSequences)
	}
}

// TestBitsUpToTheBrim writes sequences of any lengths and distances, with far more extra
// bits than real ones have, so that they end at each place of a word.
func TestBitsUpToTheBrim(t *testing.T) {
	e := New()
	rng := rand.New(rand.NewPCG(9, 9))
	some := func(bits int) int { return rng.IntN(1 << rng.IntN(bits+1)) }
	for range 150 {
		var literals, want []byte
		var seqs []sequence
		for len(want) < 1<<18 {
			lit, match := 1+some(15), minMatch+some(15)
			for range lit {
				literals = append(literals, byte(rng.Uint32()))
			}
			want = append(want, literals[len(literals)-lit:]...)
			d := min(len(want), 1+some(16))
			seqs = append(seqs, sequence{uint16(lit), uint16(match - minMatch), uint32(d)})
			for range match {
				want = append(want, want[len(want)-d])
			}
		}
		e.w.reset()
		e.s.reset()
		e.s.write(&e.w, seqs)
		var head bitWriter
		e.l.header(&head, literalsRaw, len(literals))
		block := append(head.out[:head.pos:head.pos], literals...)
		w := newWalker(nil)
		func() {
			defer func() {
				if bad := recover(); bad != nil {
					t.Fatal(bad)
				}
			}()
			w.block(append(block, e.w.out[:e.w.pos]...))
		}()
		if !bytes.Equal(w.out, want) {
			t.Fatalf("%d sequences: %d other bytes of %d", len(seqs), len(w.out), len(want))
		}
	}
}
