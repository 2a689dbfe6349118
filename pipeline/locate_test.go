package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
)

// placed puts a file below the store's folder of external objects, and returns its URL.
func placed(t *testing.T, dir, name string, p []byte) string {
	t.Helper()
	path := filepath.Join(dir, "external", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// locatable returns a pipeline with a store whose folder is known.
func locatable(t *testing.T) (p *pipeline.Pipeline, store, dir string) {
	t.Helper()
	p = several(t)
	objects := withMirror(t, p)
	return p, "first", filepath.Dir(objects)
}

func locateOf(url, format string) contract.LocateParams {
	return contract.LocateParams{TaskID: "t", ImageID: "i", Source: contract.SourceSpec{URL: url, Format: format}, Store: "first", ContainerFormat: "bare"}
}

func TestLocateFindsChecksAndHashes(t *testing.T) {
	p, store, dir := locatable(t)
	data := sparse(t)
	url := placed(t, dir, "a/disk.raw", data)
	l := locateOf(url, "raw")
	sum, long := sha256.Sum256(data), sha512.Sum512(data)
	got, _, err := p.Locate(t.Context(), l, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Stored.Store != store || got.Stored.Key != "external/a/disk.raw" || got.Fetched.Size != int64(len(data)) || got.Converted.VirtualSize != int64(len(data)) ||
		got.Checksummed.HashAlgo != "sha256" || got.Checksummed.HashValue != hex.EncodeToString(sum[:]) || len(got.Fetched.Verifications) > 0 {
		t.Errorf("got %+v", got)
	}
	l.Source.Checksum = "sha512:" + hex.EncodeToString(long[:])
	got, _, err = p.Locate(t.Context(), l, nil, nil)
	if err != nil || got.Checksummed.HashAlgo != "sha512" || got.Checksummed.HashValue != hex.EncodeToString(long[:]) || len(got.Fetched.Verifications) != 1 {
		t.Errorf("with a digest: %+v, %v", got.Checksummed, err)
	}
	l.Source.Checksum = "sha512:" + hex.EncodeToString(make([]byte, 64))
	if _, _, err := p.Locate(t.Context(), l, nil, nil); errcode.Of(err) != errcode.ChecksumMismatch {
		t.Errorf("another digest: %v", err)
	}
}

// What an attempt has hashed, the next one does not hash again: a hint that is of another
// object's bytes shows in the digest, and one of another length or time is left.
func TestLocateGoesOnAtItsHint(t *testing.T) {
	p, _, dir := locatable(t)
	const size = 130 << 20
	data := make([]byte, size)
	imgtest.ReadFull(t, imgtest.New(size, 9, imgtest.Run{Off: 0, Len: 70 << 20, Kind: imgtest.Noise}), data, 0)
	url := placed(t, dir, "big.raw", data)
	l := locateOf(url, "raw")
	var hint []byte
	want, _, err := p.Locate(t.Context(), l, nil, func(_, _ int64, resume []byte) {
		if resume != nil && hint == nil {
			hint = bytes.Clone(resume)
		}
	})
	if err != nil || hint == nil {
		t.Fatalf("%v, hint %s", err, hint)
	}
	first := int64(-1)
	got, _, err := p.Locate(t.Context(), l, hint, func(done, _ int64, _ []byte) {
		if first < 0 {
			first = done
		}
	})
	if err != nil || got.Checksummed != want.Checksummed {
		t.Errorf("behind the hint: %+v, %v, want %+v", got.Checksummed, err, want.Checksummed)
	}
	if first <= 64<<20 {
		t.Errorf("it began at %d", first)
	}
	// The file is another one since.
	other := bytes.Repeat([]byte{7}, size)
	placed(t, dir, "big.raw", other)
	got, _, err = p.Locate(t.Context(), l, hint, nil)
	if sum := sha256.Sum256(other); err != nil || got.Checksummed.HashValue != hex.EncodeToString(sum[:]) {
		t.Errorf("of another file: %+v, %v", got.Checksummed, err)
	}
}

func TestLocateRefuses(t *testing.T) {
	p, _, dir := locatable(t)
	raw := sparse(t)
	own := keepObject(t, p.Stores["first"], raw)
	ownURL, err := p.LocationURL(t.Context(), "first", own.Key)
	if err != nil {
		t.Fatal(err)
	}
	backed := imgtest.Convert(t, imgtest.WriteRaw(t, imgtest.New(1<<20, 3)), "raw", "qcow2")
	qcow2, err := os.ReadFile(backed)
	if err != nil {
		t.Fatal(err)
	}
	copy(qcow2[8:], []byte{0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 11}) // a backing file's name of 11 bytes
	copy(qcow2[512:], "/etc/passwd")
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	there := placed(t, dir, "disk.raw", raw)
	if err := os.Symlink(outside, filepath.Join(dir, "external", "link")); err != nil {
		t.Fatal(err)
	}
	external := "file://" + filepath.Join(dir, "external")
	for _, c := range []struct {
		name   string
		change contract.LocateParams
		box    string
		want   errcode.Code
	}{
		{"what is there", locateOf(there, "raw"), "bare", ""},
		{"an object of the store", locateOf(ownURL, "raw"), "bare", ""},
		{"nothing", locateOf(external+"/none", "raw"), "bare", errcode.NotFound},
		{"a folder", locateOf("file://"+dir+"/external", "raw"), "bare", errcode.NotFound},
		{"a link out of the store", locateOf(external+"/link", "raw"), "bare", errcode.NotFound},
		{"a way out of the store", locateOf(external+"/../../secret", "raw"), "bare", errcode.NotFound},
		{"a file beside the store", locateOf("file://"+outside, "raw"), "bare", errcode.NotFound},
		{"another format", locateOf(there, "qcow2"), "bare", errcode.FormatUnknown},
		{"a backing file", locateOf(placed(t, dir, "backed.qcow2", qcow2), "qcow2"), "bare", errcode.QCOW2BackingFile},
		{"qcow2 that is said to be raw", locateOf(external+"/backed.qcow2", "raw"), "bare", errcode.FormatMismatch},
		{"an OVA", locateOf(there, "raw"), "ova", errcode.FormatNotAllowed},
		{"a container", locateOf(there, "raw"), "compressed", errcode.FormatNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change.ContainerFormat = c.box
			_, _, err := p.Locate(t.Context(), c.change, nil, nil)
			if got := errcode.Of(err); got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
	// The bytes of others outlive whoever deletes them.
	if err := p.Stores["first"].Delete(t.Context(), "external/disk.raw"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stores["first"].Stat(t.Context(), "external/disk.raw"); err != nil {
		t.Errorf("the external object was deleted: %v", err)
	}
	for o, err := range p.Stores["first"].(stores.Objects).Objects(t.Context()) {
		if err != nil || o.Key != own.Key {
			t.Errorf("listed: %+v, %v", o, err)
		}
	}
}
