package vdi

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/internal/boottest"
	"ingest/internal/imgtest"
	"ingest/internal/otherreaders"
)

// keep writes an image to a file.
func keep(t *testing.T, image []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.vdi")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBoots starts a PC from an image.
func TestBoots(t *testing.T) {
	boottest.Boot(t, keep(t, written(t, Dynamic{}, boottest.New(33<<20+3*512, 7))), "vdi")
}

// TestOtherReaders has 7-Zip read an image; libyal has no library for VDI.
func TestOtherReaders(t *testing.T) {
	disk := imgtest.Random(90, 37<<20+5*512, 9<<20)
	image := written(t, Dynamic{}, disk)
	d, err := Format{}.Open(bytes.NewReader(image), int64(len(image)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if names := otherreaders.Check(t, keep(t, image), d.Info(), disk); len(names) != 1 {
		t.Errorf("%v have read it", names)
	}
}
