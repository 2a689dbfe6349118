package rankmap

import (
	"math/rand/v2"
	"testing"
)

func TestMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int64{1, 63, 64, 65, chunkBits, chunkBits + 1, 5*chunkBits + 17} {
		m, want := New(n), make([]bool, n)
		for range 12 {
			a := rng.Int64N(n)
			b := a + 1 + rng.Int64N(min(n-a, 1+n>>rng.IntN(12)))
			m.SetRange(a, b)
			for i := a; i < b; i++ {
				want[i] = true
			}
		}
		m.Seal()
		var rank int64
		nextIn, nextOut := n, n
		for i := n - 1; i >= 0; i-- {
			if want[i] {
				nextIn = i
			} else {
				nextOut = i
			}
			if i%7 == 0 && (m.Next(i, true) != nextIn || m.Next(i, false) != nextOut) {
				t.Fatalf("n %d: next of %d: %d, %d; want %d, %d", n, i, m.Next(i, true), m.Next(i, false), nextIn, nextOut)
			}
		}
		for i := range n {
			if m.Has(i) != want[i] || m.Rank(i) != rank {
				t.Fatalf("n %d: number %d: %v, rank %d; want %v, %d", n, i, m.Has(i), m.Rank(i), want[i], rank)
			}
			if want[i] {
				if got := m.Pick(rank); got != i {
					t.Fatalf("n %d: pick %d is %d, want %d", n, rank, got, i)
				}
				rank++
			}
		}
		if m.Len() != rank || m.Rank(n) != rank {
			t.Errorf("n %d: len %d, want %d", n, m.Len(), rank)
		}
	}
}
