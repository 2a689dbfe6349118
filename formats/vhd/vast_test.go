package vhd

import (
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// The largest disk has 0xFF000000 sectors, 2040 GiB. What lies around 2 TiB in
// others lies in its last sectors.
func TestLargestDisk(t *testing.T) {
	const size = maxDynamicBytes
	want := imgtest.New(size, 52,
		imgtest.Run{Off: 0, Len: 4096, Kind: imgtest.Text},
		imgtest.Run{Off: 1<<40 - 70_001, Len: 140_003, Kind: imgtest.Noise},
		imgtest.Run{Off: size - 2<<20 - 1000, Len: 5000, Kind: imgtest.Noise},
		imgtest.Run{Off: size - 1536, Len: 1536, Kind: imgtest.Text})
	for _, sub := range []string{"dynamic", "fixed"} {
		t.Run(sub, func(t *testing.T) {
			f := imgtest.OpenFile(t, imgtest.Convert(t, imgtest.WriteRaw(t, want), "raw", "vpc", "force_size=on,subformat="+sub))
			formattest.Reader(t, formattest.Spec{Open: formattest.OpenBytes(Format{}, f, f.Size()), File: f, Want: want})
		})
	}
}
