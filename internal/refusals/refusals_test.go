package refusals

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/errcode"
	"ingest/pipeline"
)

const imagesDir = "../../testdata/images"

// A listed image is an entry of testdata/images/manifest.json.
type listed struct {
	Path        string
	VirtualSize int64 `json:"virtual_size"`
	Code        errcode.Code
}

func manifest(t *testing.T) []listed {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(imagesDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Images []listed }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Images) < 20 {
		t.Fatalf("only %d images in the manifest", len(m.Images))
	}
	return m.Images
}

// unpack returns the bytes of an image below imagesDir.
func unpack(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(imagesDir, path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// use detects an image, checks its whole structure and reads all of it, as an
// import does. It returns all findings and the first error.
func use(t *testing.T, fs []formats.Format, b []byte, o detect.Options) ([]formats.Finding, error) {
	t.Helper()
	rep, disk, err := detect.New(fs).Detect(t.Context(), bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		return rep.Findings, err
	}
	defer disk.Close()
	more, err := pipeline.CheckDisk(t.Context(), disk)
	found := append(rep.Findings, more...)
	if err != nil {
		return found, err
	}
	_, err = io.Copy(io.Discard, io.NewSectionReader(disk, 0, disk.Size()))
	return found, err
}

func options(set func(*formats.Limits)) detect.Options {
	lim := formats.DefaultLimits()
	if set != nil {
		set(&lim)
	}
	return detect.Options{Limits: lim}
}

// all are the formats that are read.
func all() []formats.Format { return readers.All() }
