package zstandard

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"ingest/formats/formattest"
)

// FuzzFrame compresses any bytes, some of them said several times over or with noise
// between them: what comes out is read by a decoder and by the walker as what went in,
// and does not depend on what the encoder did before.
func FuzzFrame(f *testing.F) {
	formattest.Seeds(f)
	f.Add([]byte("abcabcabcd"), uint32(0), byte(0))
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 300), uint32(3), byte(1))
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 30), uint32(300), byte(9))
	f.Add([]byte{}, uint32(0), byte(2))
	f.Add([]byte{7}, uint32(65535), byte(0))
	used, d := New(), decoder(f)
	f.Fuzz(func(t *testing.T, p []byte, again uint32, noise byte) {
		p = grown(p, again, noise)
		z, ok := used.Frame(nil, p, 1<<30)
		if !ok {
			t.Fatal("no room")
		}
		holds(t, d, z, p)
		fresh := New()
		if other, _ := fresh.Frame(nil, p, len(z)); !bytes.Equal(other, z) {
			t.Fatal("another frame from a new encoder")
		}
		if short, ok := used.Frame(nil, p, len(z)-1); ok || len(short) != 0 {
			t.Fatal("a frame that is longer than its limit")
		}
	})
}

// grown makes a long input of a short one: it comes again with a byte that moves
// through it, or in pieces with bytes between them.
func grown(p []byte, again uint32, noise byte) []byte {
	if again == 0 || len(p) == 0 {
		return p
	}
	const most = 200 << 10
	times := min(int(again&0xffff), most/len(p))
	rng := rand.New(rand.NewPCG(uint64(again), uint64(noise)))
	whole := make([]byte, 0, len(p)*(times+1))
	for i := range times + 1 {
		if noise == 0 {
			whole = append(whole, p...)
			whole[len(whole)-1-i%len(p)] += byte(i)
			continue
		}
		for range rng.IntN(int(noise)) {
			whole = append(whole, byte(rng.Uint32()>>(again>>16&7)))
		}
		from := rng.IntN(len(p))
		whole = append(whole, p[from:from+rng.IntN(len(p)-from+1)]...)
	}
	return whole[:min(len(whole), most)]
}
