package vdi

import (
	"os"
	"path/filepath"
	"testing"

	"ingest/internal/boottest"
)

// TestBoots starts a PC from an image.
func TestBoots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.vdi")
	if err := os.WriteFile(path, written(t, Dynamic{}, boottest.New(33<<20+3*512, 7)), 0o600); err != nil {
		t.Fatal(err)
	}
	boottest.Boot(t, path, "vdi")
}
