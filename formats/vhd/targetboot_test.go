package vhd

import (
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/boottest"
)

// TestBoots starts a PC from each kind of disk. Its BIOS is shown the footer's
// geometry.
func TestBoots(t *testing.T) {
	for name, pl := range map[string]formats.Planner{
		"dynamic": blocks.Planner{Target: Dynamic{}}, "small blocks": blocks.Planner{Target: Dynamic{BlockSize: MinBlockSize}},
		"fixed": Fixed{}, "azure": Azure(),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk.vhd")
			image := written(t, pl, boottest.New(33<<20+3*512, 7))
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			boottest.Boot(t, path, "vpc")
		})
	}
}
