package vmdk

import (
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/internal/boottest"
)

// writtenBoth returns the paths of files that hold the disk, by subformat.
func writtenBoth(t *testing.T, disk formats.Disk) map[string]string {
	t.Helper()
	out := map[string]string{}
	for sub, b := range map[string][]byte{monolithicSparse: planned(t, Sparse{}, disk), streamOptimized: streamed(t, Stream{}, disk)} {
		out[sub] = filepath.Join(t.TempDir(), "disk.vmdk")
		if err := os.WriteFile(out[sub], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestBoots starts a PC from what is written.
func TestBoots(t *testing.T) {
	for sub, path := range writtenBoth(t, boottest.New(70<<20+3*512, 7)) {
		t.Run(sub, func(t *testing.T) { boottest.Boot(t, path, "vmdk") })
	}
}
