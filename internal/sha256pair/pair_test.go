package sha256pair

import (
	"bytes"
	"crypto/sha256"
	"math/rand"
	"testing"
)

// TestSumIsThatOfTheLibrary holds digests of every kind of length against the standard
// library's, at every place in memory.
func TestSumIsThatOfTheLibrary(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	pool := make([]byte, 1<<20)
	rng.Read(pool)
	piece := func() []byte {
		n := rng.Intn(300)
		if rng.Intn(10) == 0 {
			n = rng.Intn(len(pool) / 2)
		}
		return pool[rng.Intn(len(pool)/2):][:n]
	}
	for range 3000 {
		a, b := piece(), piece()
		x, y := Sum(a, b)
		if x != sha256.Sum256(a) || y != sha256.Sum256(b) {
			t.Fatalf("of %d and %d bytes: another digest than the library's", len(a), len(b))
		}
	}
}

// TestWriteAndSum goes on with digests that stand between two blocks and within one.
func TestWriteAndSum(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	for range 300 {
		h, want := sha256.New(), sha256.New()
		for range rng.Intn(6) + 1 {
			p := make([]byte, rng.Intn(4)*64+rng.Intn(3)*rng.Intn(64))
			rng.Read(p)
			if got := WriteAndSum(h, p); got != sha256.Sum256(p) {
				t.Fatalf("the digest of %d bytes alone is wrong", len(p))
			}
			want.Write(p)
		}
		if !bytes.Equal(h.Sum(nil), want.Sum(nil)) {
			t.Fatal("the digest that is gone on with is wrong")
		}
	}
}

// TestLibraryStateIsKnown fails when a new version of the standard library marshals a
// digest in another form: the result would still be right, and slow.
func TestLibraryStateIsKnown(t *testing.T) {
	h := sha256.New()
	h.Write(make([]byte, 128))
	s, ok := stateOf(h)
	if !ok || s.length != 128 || !s.into(h) {
		t.Fatalf("state %v, known: %v", s, ok)
	}
	h.Write([]byte{1})
	if _, ok := stateOf(h); ok {
		t.Error("a digest within a block is taken for one between two")
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("abc"), bytes.Repeat([]byte{7}, 200))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if x, y := Sum(a, b); x != sha256.Sum256(a) || y != sha256.Sum256(b) {
			t.Fatal("another digest than the library's")
		}
	})
}

func BenchmarkSum(b *testing.B) {
	x, y := make([]byte, 2<<20), make([]byte, 2<<20)
	b.Run("library", func(b *testing.B) {
		b.SetBytes(4 << 20)
		for b.Loop() {
			sha256.Sum256(x)
			sha256.Sum256(y)
		}
	})
	b.Run("pair", func(b *testing.B) {
		b.SetBytes(4 << 20)
		for b.Loop() {
			Sum(x, y)
		}
	})
	b.Run("write and sum", func(b *testing.B) {
		b.SetBytes(2 << 20)
		h := sha256.New()
		for b.Loop() {
			WriteAndSum(h, x)
		}
	})
}
