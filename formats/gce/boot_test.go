package gce

import (
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/boottest"
	"ingest/internal/imgtest"
	"ingest/internal/otherreaders"
)

// kept writes a disk and returns the file's path.
func kept(t *testing.T, e Encoder, disk formats.Disk) string {
	t.Helper()
	file, _ := formattest.Record(t, e, disk, nil)
	path := filepath.Join(t.TempDir(), "image.tar.gz")
	if err := os.WriteFile(path, file.Bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBoots starts a PC from disk.raw as GNU tar extracts it.
func TestBoots(t *testing.T) {
	dir := t.TempDir()
	tool(t, "tar", "-xzf", kept(t, Encoder{}, boottest.New(70<<20+3*512, 7)), "-C", dir)
	boottest.Boot(t, filepath.Join(dir, "disk.raw"), "raw")
}

// TestSevenZipReads has 7-Zip unpack both layers.
func TestSevenZipReads(t *testing.T) {
	program := otherreaders.SevenZip().Need(t)
	disk := imgtest.Random(71, 20<<20+7*512, 8<<20)
	dir := t.TempDir()
	tool(t, program, "x", "-y", "-o"+dir, kept(t, Encoder{Align: 512}, disk))
	tool(t, program, "x", "-y", "-o"+dir, filepath.Join(dir, "image.tar"))
	got := imgtest.OpenFile(t, filepath.Join(dir, "disk.raw"))
	if got.Size() != disk.Size() {
		t.Fatalf("%d bytes", got.Size())
	}
	imgtest.Equal(t, got, disk, disk.Size())
}
