package raw

import (
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// A sparse file's holes are the disk's.
func TestVastDisk(t *testing.T) {
	want := formattest.Vast(formattest.VastSize)
	f := imgtest.OpenFile(t, imgtest.WriteRaw(t, want))
	formattest.Reader(t, formattest.Spec{Want: want, File: f, Open: func(testing.TB) formats.Disk { return New(f, f.Size()) }})
}
