package deflate

import (
	"bytes"
	"testing"

	"ingest/formats/formattest"
)

// FuzzRaw compresses any bytes, some of them said several times over, in every
// setting: what comes out inflates to what went in, within the window and the bound,
// and does not depend on what the encoder did before.
func FuzzRaw(f *testing.F) {
	formattest.Seeds(f)
	f.Add([]byte("abcabcabcd"), uint32(0), byte(0))
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 300), uint32(3), byte(1))
	f.Add([]byte{}, uint32(0), byte(2))
	type setting struct{ used, fresh *Encoder }
	var all []setting
	for _, window := range []int{256, SmallWindow, MaxWindow} {
		for _, effort := range efforts {
			all = append(all, setting{New(window, effort), New(window, effort)})
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, again uint32, which byte) {
		// Long inputs come of short ones, with a byte that moves through them.
		if again > 0 && len(p) > 0 {
			times := min(int(again&0xffff), (200<<10)/len(p))
			whole := make([]byte, 0, len(p)*(times+1))
			for i := range times + 1 {
				whole = append(whole, p...)
				whole[len(whole)-1-i%len(p)] += byte(i)
			}
			p = whole
		}
		s := all[int(which)%len(all)]
		z, ok := s.used.Raw(nil, p, bound(len(p)))
		if !ok {
			t.Fatal("no room")
		}
		holds(t, z, p, s.used.window)
		*s.fresh = Encoder{window: s.used.window}
		s.fresh.m.init(s.used.window, efforts[int(which)%len(all)%len(efforts)])
		if other, _ := s.fresh.Raw(nil, p, bound(len(p))); !bytes.Equal(other, z) {
			t.Fatal("another stream from a new encoder")
		}
		if short, ok := s.used.Raw(nil, p, len(z)-1); ok || len(short) != 0 {
			t.Fatal("a stream that is longer than its limit")
		}
		if run := s.used.Run(nil, p); len(run) > bound(len(p)) {
			t.Fatalf("a run of %d bytes", len(run))
		}
	})
}
