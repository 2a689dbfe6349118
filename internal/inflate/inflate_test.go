package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// sample is real file content: that of the Go tool chain that runs the test.
func sample(tb testing.TB, n int) []byte {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	f, err := os.Open(filepath.Clean(exe))
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

func deflate(tb testing.TB, p []byte, level int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 100000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	few := make([]byte, 100000)
	for i := range few {
		few[i] = "abcd"[rng.IntN(4)]
	}
	var d Decoder
	for name, p := range map[string][]byte{
		"binary": sample(t, 1<<20), "random": random, "few": few, "zeros": make([]byte, 1<<17),
		"pattern 3": bytes.Repeat([]byte("abc"), 5000), "pattern 7": bytes.Repeat([]byte("abcdefg"), 5000),
	} {
		for _, n := range []int{0, 1, 2, 7, 8, 257, 258, 259, 290, 300, 511, 4096, 65535, len(p)} {
			n = min(n, len(p))
			for level := flate.HuffmanOnly; level <= 9; level++ {
				z := deflate(t, p[:n], level)
				behind := append(append([]byte{}, z...), 0xaa, 0xbb)
				dst := make([]byte, n)
				written, used, err := d.Raw(dst, behind)
				if err != nil || written != n || used != len(z) || !bytes.Equal(dst, p[:n]) {
					t.Fatalf("%s %d level %d: %d of %d bytes, used %d of %d: %v", name, n, level, written, n, used, len(z), err)
				}
			}
		}
	}
}

// TestCorrupted flips bits of small streams and holds the verdict on each
// against that of compress/flate.
func TestCorrupted(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	text := sample(t, 1<<20)
	accepted := 0
	for i := range 20000 {
		off, n := rng.IntN(len(text)-3000), 1+rng.IntN(3000)
		z := deflate(t, text[off:off+n], []int{flate.HuffmanOnly, 1, 6, 9}[i%4])
		for range 1 + rng.IntN(3) {
			// Most of them in the head, where the codes are.
			at := rng.IntN(min(len(z), 60))
			if i%3 == 0 {
				at = rng.IntN(len(z))
			}
			z[at] ^= 1 << rng.IntN(8)
		}
		if i%5 == 0 {
			z = z[:rng.IntN(len(z)+1)]
		}
		if compare(t, z, 1+rng.IntN(6000)) {
			accepted++
		}
	}
	if accepted < 100 || accepted > 19000 {
		t.Errorf("%d of 20000 were accepted: the streams are too bad or too good to tell much", accepted)
	}
}

// compare inflates z into room bytes and fails if compress/flate sees it
// otherwise. It reports whether both accept it.
func compare(t *testing.T, z []byte, room int) bool {
	t.Helper()
	r := bytes.NewReader(z)
	want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(r), int64(room)+1))
	wantUsed := len(z) - r.Len()

	var d Decoder
	guard := bytes.Repeat([]byte{0x5a}, room+64)
	got := guard[:room:room]
	written, used, err := d.Raw(got, z)
	if !bytes.Equal(guard[room:], bytes.Repeat([]byte{0x5a}, 64)) {
		t.Fatal("wrote behind dst")
	}
	if written < 0 || written > room || used < 0 || used > len(z) {
		t.Fatalf("%d of %d bytes written, %d of %d used", written, room, used, len(z))
	}
	switch {
	case len(want) > room:
		if err == nil {
			t.Fatalf("accepted a stream that gives more than %d bytes", room)
		}
		if errors.Is(err, ErrFull) && !bytes.Equal(got, want[:room]) {
			t.Fatal("other bytes than compress/flate, up to where dst is full")
		}
	case wantErr != nil:
		if err == nil {
			t.Fatalf("accepted what compress/flate refuses: %v", wantErr)
		}
	case err != nil:
		t.Fatalf("refused what compress/flate accepts: %v", err)
	case !bytes.Equal(got[:written], want):
		t.Fatal("other bytes than compress/flate")
	case used != wantUsed:
		t.Fatalf("used %d bytes, compress/flate %d", used, wantUsed)
	default:
		return true
	}
	return false
}

func TestZlib(t *testing.T) {
	p := sample(t, 65536)
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z := b.Bytes()
	edit := func(at int, v byte) []byte {
		c := bytes.Clone(z)
		c[(at+len(c))%len(c)] ^= v
		return c
	}
	dictionary := bytes.Clone(z)
	dictionary[0], dictionary[1] = 0x78, 0xbb // FDICT set, a multiple of 31
	for _, c := range []struct {
		name string
		z    []byte
		room int
		err  error
	}{
		{"whole", z, len(p), nil},
		{"with more room", z, 2 * len(p), nil},
		{"with bytes behind", append(bytes.Clone(z), 1, 2, 3), len(p), nil},
		{"empty", nil, 1, ErrTruncated},
		{"one byte", z[:1], 1, ErrTruncated},
		{"method 7", edit(0, 0x0f), len(p), ErrHeader},
		{"check bits", edit(1, 1), len(p), ErrHeader},
		{"dictionary", dictionary, len(p), ErrHeader},
		{"checksum", edit(-1, 1), len(p), ErrChecksum},
		{"checksum cut", z[:len(z)-1], len(p), ErrTruncated},
		{"too little room", z, len(p) - 1, ErrFull},
	} {
		var d Decoder
		dst := make([]byte, c.room)
		n, used, err := d.Zlib(dst, c.z)
		if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if c.err == nil && (used != len(z) || !bytes.Equal(dst[:n], p)) {
			t.Errorf("%s: %d bytes out, %d used", c.name, n, used)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	p := sample(t, 65536)
	z, dst := deflate(t, p, 6), make([]byte, len(p))
	var d Decoder
	if n := testing.AllocsPerRun(20, func() {
		if _, _, err := d.Raw(dst, z); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a stream", n)
	}
}

func FuzzRaw(f *testing.F) {
	text := sample(f, 4096)
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
		f.Add(deflate(f, text, level), uint16(4096))
		f.Add(deflate(f, text[:40], level), uint16(40))
	}
	f.Add(deflate(f, make([]byte, 1<<15), 9), uint16(1<<15))
	f.Fuzz(func(t *testing.T, z []byte, room uint16) { compare(t, z, int(room)) })
}
