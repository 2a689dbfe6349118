package pipeline_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

const (
	longBytes = 64 << 20
	// fewBytes is what may be sent of a file that is refused by its first MiB:
	// what is in flight, in buffers of both ends, when that is seen.
	fewBytes = 16 << 20
)

// long makes a file of longBytes that begins with another one's bytes.
func long(t *testing.T, begin string) string {
	t.Helper()
	b, err := os.ReadFile(begin)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "long")
	// Not zeros behind it: those might be skipped.
	for i := len(b); i < longBytes; i++ {
		b = append(b, byte(i>>9)|1)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// overlay makes a qcow2 image with a backing file.
func overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	base, path := filepath.Join(dir, "base.qcow2"), filepath.Join(dir, "overlay.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", base, "1G")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", path)
	return path
}

// serveWithoutLength serves a file as one long stream that does not tell where
// it ends.
func serveWithoutLength(t *testing.T, path string, sent *atomic.Int64) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		io.Copy(&counting{ResponseWriter: w, n: sent}, f)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/disk.img"
}

// TestDownloadIsCutOffWhereTheHeadDecides stops a download of 64 MiB after its
// first few, keeps nothing of it, and says what Detect would have said.
func TestDownloadIsCutOffWhereTheHeadDecides(t *testing.T) {
	path := long(t, overlay(t))
	digest := fileDigest(t, path)
	for _, c := range []struct {
		name     string
		serve    func(*testing.T, string, *atomic.Int64) string
		checksum string
	}{
		{"stream", func(t *testing.T, p string, n *atomic.Int64) string { return serveFile(t, p, false, n) }, ""},
		{"stream with a digest", func(t *testing.T, p string, n *atomic.Int64) string { return serveFile(t, p, false, n) }, digest},
		{"stream without its length", serveWithoutLength, ""},
		{"ranges with a digest", func(t *testing.T, p string, n *atomic.Int64) string { return serveFile(t, p, true, n) }, digest},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent atomic.Int64
			p, _ := newPipeline(t, t.TempDir(), loopback())
			j := newJob(c.serve(t, path, &sent), contract.TargetSpec{})
			j.source.Checksum = c.checksum
			err := j.run(t, p)
			var refused *pipeline.Refused
			if errcode.Of(err) != errcode.QCOW2BackingFile || !errors.As(err, &refused) {
				t.Fatalf("got %v, want %s", err, errcode.QCOW2BackingFile)
			}
			requireAdvice(t, err)
			if rep := refused.Report; rep.Safe || !rep.Refused() || rep.DiskFormat != "qcow2" || rep.Findings[len(rep.Findings)-1].Code != errcode.QCOW2BackingFile {
				t.Errorf("report %+v", rep)
			}
			t.Logf("%d of %d bytes were sent", sent.Load(), longBytes)
			if n := sent.Load(); n < 1<<20 || n > fewBytes {
				t.Errorf("%d bytes were sent, want at most %d", n, fewBytes)
			}
		})
	}
}

// TestDownloadGoesOnWhereTheHeadDoesNotDecide stages the whole of what only its
// end refuses, and of what is good.
func TestDownloadGoesOnWhereTheHeadDoesNotDecide(t *testing.T) {
	raw := imgtest.WriteRaw(t, mixed())
	for _, c := range []struct {
		name, path, declared string
		want                 errcode.Code
	}{
		{"raw", raw, "raw", ""},
		{"qcow2", imgtest.Convert(t, raw, "raw", "qcow2"), "qcow2", ""},
		{"fixed VHD declared raw", imgtest.Convert(t, raw, "raw", "vpc", "subformat=fixed,force_size=on"), "raw", errcode.FormatMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent atomic.Int64
			p, _ := newPipeline(t, t.TempDir(), loopback())
			j := newJob(serveWithoutLength(t, c.path, &sent), contract.TargetSpec{Format: "raw"})
			j.source.Format = c.declared
			err := j.run(t, p)
			if errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if errors.As(err, new(*pipeline.Refused)) || !j.fetched.Staged || sent.Load() < fileSize(t, c.path) {
				t.Errorf("%d bytes were sent, staged %v: %v", sent.Load(), j.fetched.Staged, err)
			}
		})
	}
}

func fileDigest(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
