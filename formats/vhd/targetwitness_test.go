package vhd

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/boottest"
	"ingest/internal/imgtest"
	"ingest/internal/otherreaders"
)

// writers returns the planners of every kind of disk.
func writers() map[string]formats.Planner {
	return map[string]formats.Planner{
		"dynamic": blocks.Planner{Target: Dynamic{}}, "small blocks": blocks.Planner{Target: Dynamic{BlockSize: MinBlockSize}},
		"large blocks": blocks.Planner{Target: Dynamic{BlockSize: MaxBlockSize}}, "fixed": Fixed{}, "azure": Azure(),
	}
}

// keep writes an image to a file.
func keep(t *testing.T, image []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.vhd")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBoots starts a PC from each kind of disk. Its BIOS is shown the footer's
// geometry.
func TestBoots(t *testing.T) {
	for name, pl := range writers() {
		t.Run(name, func(t *testing.T) {
			boottest.Boot(t, keep(t, written(t, pl, boottest.New(33<<20+3*512, 7))), "vpc")
		})
	}
}

// TestOtherReaders has 7-Zip and libyal read each kind of disk.
func TestOtherReaders(t *testing.T) {
	disk := imgtest.Random(90, 37<<20+5*512, 9<<20)
	for name, pl := range writers() {
		t.Run(name, func(t *testing.T) {
			image := written(t, pl, disk)
			d, err := Format{}.Open(bytes.NewReader(image), int64(len(image)), formats.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if names := otherreaders.Check(t, keep(t, image), d.Info(), disk); len(names) != 2 {
				t.Errorf("only %v have read it", names)
			}
		})
	}
}
