package pipeline_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

const imagesDir = "../testdata/images"

// A listed image is an entry of testdata/images/manifest.json.
type listed struct {
	Path        string `json:"path"`
	DiskFormat  string `json:"disk_format"`
	Subformat   string `json:"subformat"`
	FileSize    int64  `json:"file_size"`
	SHA256      string `json:"sha256"`
	VirtualSize int64  `json:"virtual_size"`
	RawSHA256   string `json:"raw_sha256"`
	Code        string `json:"code"`
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

// unpack returns an image's bytes, checked against the manifest.
func (l listed) unpack(t *testing.T) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(imagesDir, l.Path))
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
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != l.SHA256 || int64(len(b)) != l.FileSize {
		t.Fatalf("%s is not the file that the manifest lists", l.Path)
	}
	return b
}

// look detects and validates an image as an import would.
func look(t *testing.T, b []byte) (detect.Report, formats.Disk, error) {
	t.Helper()
	rep, disk, err := detect.New(readers.All()).Detect(t.Context(), bytes.NewReader(b), int64(len(b)), detect.Options{Limits: formats.DefaultLimits()})
	if err != nil {
		return rep, nil, err
	}
	_, err = pipeline.CheckDisk(t.Context(), disk)
	return rep, disk, err
}

func TestEveryListedImageIsWhatTheManifestSays(t *testing.T) {
	for _, l := range manifest(t) {
		t.Run(l.Path, func(t *testing.T) {
			rep, disk, err := look(t, l.unpack(t))
			if got := string(errcode.Of(err)); got != l.Code {
				t.Fatalf("refused with %q (%v), want %q", got, err, l.Code)
			}
			if l.Code != "" {
				requireAdvice(t, err)
				return
			}
			if string(rep.DiskFormat) != l.DiskFormat || rep.Subformat != l.Subformat || rep.VirtualSize != l.VirtualSize {
				t.Errorf("%s %s of %d bytes, want %s %s of %d", rep.DiskFormat, rep.Subformat, rep.VirtualSize, l.DiskFormat, l.Subformat, l.VirtualSize)
			}
			p := &pipeline.Pipeline{}
			_, sum, err := p.Digest(context.Background(), disk, true, nil)
			if err != nil || sum != l.RawSHA256 {
				t.Errorf("guest bytes have SHA-256 %s (%v), want %s", sum, err, l.RawSHA256)
			}
		})
	}
}

// requireAdvice demands that a refusal tells where, what and what to do.
func requireAdvice(t *testing.T, err error) {
	t.Helper()
	e, ok := errcode.As(err)
	if !ok || e.Message == "" || e.Remedy() == "" {
		t.Fatalf("no advice in %v", err)
	}
	if e.Evidence == nil || e.Evidence.Structure == "" {
		t.Errorf("no evidence in %v", err)
	}
}
