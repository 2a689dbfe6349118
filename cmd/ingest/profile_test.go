package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestProfiled asks for a profile, for none, and for one that cannot be written.
func TestProfiled(t *testing.T) {
	seven := func() int { return 7 }
	t.Setenv(profileVar, "")
	if got := profiled(seven); got != 7 {
		t.Errorf("without a profile: %d", got)
	}
	path := filepath.Join(t.TempDir(), "cpu")
	t.Setenv(profileVar, path)
	if got := profiled(seven); got != 7 {
		t.Errorf("with a profile: %d", got)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || len(b) == 0 {
		t.Errorf("a profile of %d bytes, %v", len(b), err)
	}
	t.Setenv(profileVar, filepath.Join(path, "no", "folder"))
	if got := profiled(func() int { t.Error("ran"); return 0 }); got != 1 {
		t.Errorf("nowhere to write: %d", got)
	}
}
