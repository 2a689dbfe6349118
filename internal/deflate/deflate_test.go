package deflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"ingest/internal/inflate"
)

var efforts = []Effort{Fast, Good}

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

// materials are bytes of all kinds, 2 MiB of each.
func materials(tb testing.TB) map[string][]byte {
	tb.Helper()
	const n = 2 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	make1 := func(fn func(i int) byte) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = fn(i)
		}
		return p
	}
	m := map[string][]byte{
		"program": program(tb, n),
		"zeros":   make([]byte, n),
		"noise":   make1(func(int) byte { return byte(rng.Uint32()) }),
		"few":     make1(func(int) byte { return "abcd"[rng.IntN(4)] }),
		"two":     make1(func(int) byte { return "ab"[rng.IntN(20)/19] }),
		"skewed":  make1(func(int) byte { f := rng.Float64(); return byte(f * f * f * f * f * f * 256) }),
		"numbers": make1(func(i int) byte { return byte(i >> 2 >> (8 * (i & 3))) }),
		"mixed":   program(tb, n),
	}
	for i := 0; i < n; i += 24 << 10 { // pieces that do not end where clusters do
		if i/(24<<10)%2 == 0 {
			copy(m["mixed"][i:min(n, i+24<<10)], m["noise"][i:])
		}
	}
	// Noise that comes again at distances around the window.
	for _, period := range []int{1, 2, 3, 7, 255, 256, 257, 4095, 4096, 4097, 32767, 32768, 32769, 65537} {
		m[fmt.Sprint("period ", period)] = bytes.Repeat(m["noise"][:period], n/period+1)[:n]
	}
	return m
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

// holds fails unless z is a bare stream of p that all inflaters take, within the
// window and the bound.
func holds(tb testing.TB, z, p []byte, window int) *walker {
	tb.Helper()
	r := bytes.NewReader(z)
	got, err := io.ReadAll(flate.NewReader(r))
	if err != nil || !bytes.Equal(got, p) || r.Len() != 0 {
		tb.Fatalf("compress/flate: %v; %d bytes of %d, %d left", err, len(got), len(p), r.Len())
	}
	var d inflate.Decoder
	got = make([]byte, len(p))
	if n, used, err := d.Raw(got, z); err != nil || n != len(p) || used != len(z) || !bytes.Equal(got, p) {
		tb.Fatalf("internal/inflate: %v; %d bytes of %d, %d used of %d", err, n, len(p), used, len(z))
	}
	w := &walker{p: z}
	if err := w.walk(); err != nil || w.size != len(p) {
		tb.Fatalf("walker: %v; %d bytes of %d", err, w.size, len(p))
	}
	if w.far > window {
		tb.Fatalf("a distance of %d in a window of %d", w.far, window)
	}
	if len(z) > bound(len(p)) {
		tb.Fatalf("%d bytes became %d, more than %d", len(p), len(z), bound(len(p)))
	}
	return w
}

func TestRoundTrip(t *testing.T) {
	all := materials(t)
	all["fibonacci"] = fibonacci()
	var kinds [3]int
	for _, window := range []int{256, SmallWindow, MaxWindow} {
		for _, effort := range efforts {
			e := New(window, effort)
			for name, p := range all {
				if window == 256 && len(name) > 7 {
					continue
				}
				for _, n := range []int{0, 1, 2, 3, 11, 12, 13, 14, 300, 4097, 65535, 65536, 65537, 200001} {
					n = min(n, len(p))
					z, ok := e.Raw(nil, p[:n], 1<<30)
					if !ok {
						t.Fatalf("%s: no room", name)
					}
					w := holds(t, z, p[:n], window)
					for i := range kinds {
						kinds[i] += w.blocks[i]
					}
					if w.deepest > maxLitlenCode {
						t.Errorf("%s: a code of %d bits", name, w.deepest)
					}
				}
			}
		}
	}
	if kinds[0] == 0 || kinds[1] == 0 || kinds[2] == 0 {
		t.Errorf("blocks stored, fixed, dynamic: %v; one kind was never there", kinds)
	}
}

// TestWholeWindowIsUsed finds a match at the largest distance, and none beyond.
func TestWholeWindowIsUsed(t *testing.T) {
	all := materials(t)
	for _, window := range []int{SmallWindow, MaxWindow} {
		for _, effort := range efforts {
			for _, more := range []int{-1, 0, 1} {
				p := all[fmt.Sprint("period ", window+more)][:3*window]
				z, _ := New(window, effort).Raw(nil, p, 1<<30)
				if w := holds(t, z, p, window); (w.far == window+more) != (more <= 0) || more > 0 && w.far > 300 {
					t.Errorf("window %d, period %d: largest distance %d", window, window+more, w.far)
				}
			}
		}
	}
}

// TestSameBytesWhateverWasBefore compresses with an encoder that is new, and with
// one that has seen other bytes.
func TestSameBytesWhateverWasBefore(t *testing.T) {
	all := materials(t)
	for _, effort := range efforts {
		used := New(SmallWindow, effort)
		for name, p := range all {
			for _, n := range []int{1, 20, 513, 65536, 150000} {
				want, _ := New(SmallWindow, effort).Raw(nil, p[:n], 1<<30)
				if got, _ := used.Raw([]byte("head"), p[:n], 1<<30); string(got[:4]) != "head" || !bytes.Equal(got[4:], want) {
					t.Fatalf("%s, %d bytes: another stream", name, n)
				}
			}
		}
	}
}

// TestLimit gives one byte too little, and exactly enough.
func TestLimit(t *testing.T) {
	e := New(SmallWindow, Fast)
	for name, p := range materials(t) {
		for _, n := range []int{1, 700, 65536} {
			z, _ := e.Raw(nil, p[:n], 1<<30)
			got, ok := e.Raw([]byte("head"), p[:n], len(z)-1)
			if ok || string(got) != "head" {
				t.Errorf("%s, %d bytes: room of %d bytes is enough for %d", name, n, len(z)-1, len(z))
			}
			// A stored block may want a byte more than it takes in the end.
			got, ok = e.Raw(nil, p[:n], len(z)+2)
			if !ok || !bytes.Equal(got, z) {
				t.Errorf("%s, %d bytes: room of %d bytes is too little for %d", name, n, len(z)+2, len(z))
			}
		}
	}
}

func TestZlib(t *testing.T) {
	for name, p := range materials(t) {
		for _, window := range []int{256, SmallWindow, MaxWindow} {
			z := New(window, Fast).Zlib([]byte("head"), p[:100000])[4:]
			r, err := zlib.NewReader(bytes.NewReader(z))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p[:100000]) {
				t.Errorf("%s, window %d: %v", name, window, err)
			}
		}
	}
}

// TestRunsAreOneStream puts runs one behind the other, in any order.
func TestRunsAreOneStream(t *testing.T) {
	var z, want []byte
	e := New(MaxWindow, Fast)
	for _, p := range materials(t) {
		for _, n := range []int{0, 1, 5000, 1 << 20} {
			z, want = e.Run(z, p[:n]), append(want, p[:n]...)
		}
	}
	holds(t, append(z, 3, 0), want, MaxWindow)
}

func TestNothingIsAllocated(t *testing.T) {
	e, p := New(SmallWindow, Fast), program(t, 64<<10)
	dst := make([]byte, 0, 128<<10)
	if n := testing.AllocsPerRun(5, func() { e.Raw(dst, p, len(p)-1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
