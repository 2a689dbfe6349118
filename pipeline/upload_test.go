package pipeline_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/imgtest"
	"ingest/stores/fs"
)

func anyReach(int64) error { return nil }

func upload(format, container string) contract.Upload {
	return contract.Upload{ID: uuid.NewString(), ImageID: uuid.NewString(), Format: format, Container: container, Size: -1}
}

// untouched checks that the store holds neither an upload nor an object.
func untouched(t *testing.T, store *fs.Store) {
	t.Helper()
	for u, err := range store.Uploads(t.Context(), time.Now().Add(time.Hour)) {
		t.Errorf("left: %v, %v", u, err)
	}
	for o, err := range store.Objects(t.Context()) {
		t.Errorf("left: %v, %v", o, err)
	}
}

func TestSaveKeepsBytesAndHoles(t *testing.T) {
	p, store := newPipeline(t, t.TempDir())
	p.HashAlgo, p.MD5 = "sha512", true
	const size = 64 << 20
	d := imgtest.New(size, 5, imgtest.Run{Off: 8 << 20, Len: 1<<20 + 512, Kind: imgtest.Noise})
	want := make([]byte, size)
	imgtest.ReadFull(t, d, want, 0)
	u := upload("raw", "bare")
	// Bytes that come by dribs and drabs are the same.
	got, err := p.Save(t.Context(), u, iotest.HalfReader(bytes.NewReader(want)), anyReach)
	if err != nil {
		t.Fatal(err)
	}
	sum, old := sha512.Sum512(want), md5.Sum(want)
	if got.Size != size || got.VirtualSize != size || got.HashAlgo != "sha512" || got.HashValue != hex.EncodeToString(sum[:]) || got.Checksum != hex.EncodeToString(old[:]) {
		t.Errorf("got %+v", got)
	}
	o, err := store.Stat(t.Context(), u.Key())
	if err != nil || o.Allocated > 4<<20 || o.Digest.Hex != got.HashValue {
		t.Errorf("stored %+v, %v", o, err)
	}
	r, err := store.OpenRange(t.Context(), u.Key(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, want) {
		t.Errorf("other bytes came back, %v", err)
	}
	for range 2 {
		if err := p.Discard(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	untouched(t, store)
}

// Nova uploads no bytes as the snapshot of an instance that boots from a volume, and
// calls them a qcow2.
func TestSaveOfNoBytes(t *testing.T) {
	for _, size := range []int64{0, -1} {
		for _, format := range []string{"qcow2", "raw", "vmdk"} {
			p, store := newPipeline(t, t.TempDir())
			p.HashAlgo = "sha512"
			u := upload(format, "bare")
			u.Size = size
			got, err := p.Save(t.Context(), u, bytes.NewReader(nil), anyReach)
			sum := sha512.Sum512(nil)
			if err != nil || got.Size != 0 || got.VirtualSize != 0 || got.HashValue != hex.EncodeToString(sum[:]) {
				t.Errorf("%s of %d bytes: %+v, %v", format, size, got, err)
			}
			r, err := store.OpenRange(t.Context(), u.Key(), 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := io.ReadAll(r); err != nil || len(back) != 0 {
				t.Errorf("%d bytes came back, %v", len(back), err)
			}
			r.Close()
		}
	}
	p, store := newPipeline(t, t.TempDir())
	u := upload("raw", "bare")
	u.Size = 5
	if _, err := p.Save(t.Context(), u, bytes.NewReader(nil), anyReach); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("nothing where 5 bytes were announced: %v", err)
	}
	untouched(t, store)
	u.Stage, u.Size = true, -1
	if _, err := p.Stage(t.Context(), u, bytes.NewReader(nil), anyReach); errcode.Of(err) != errcode.Empty {
		t.Errorf("nothing was staged: %v", err)
	}
}

func TestSaveOfAnOVA(t *testing.T) {
	p, _ := newPipeline(t, t.TempDir())
	dir := t.TempDir()
	vmdk := moved(t, dir, "m.vmdk", imgtest.Convert(t, imgtest.WriteRaw(t, imgtest.New(8<<20, 4, imgtest.Run{Off: 0, Len: 2 << 20, Kind: imgtest.Noise})), "raw", "vmdk", "subformat=streamOptimized"))
	ova := handmade(t, dir, "m.ova", virtualBoxOVF(ovfDisk{filepath.Base(vmdk), 8 << 20}), filepath.Base(vmdk))
	raw, err := os.ReadFile(ova)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Save(t.Context(), upload("vmdk", "ova"), bytes.NewReader(raw), anyReach)
	if err != nil || got.VirtualSize != 8<<20 || got.Size != int64(len(raw)) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := p.Save(t.Context(), upload("vmdk", "bare"), bytes.NewReader(raw), anyReach); errcode.Of(err) != errcode.FormatNotAllowed {
		t.Errorf("an OVA was taken for a disk: %v", err)
	}
}

// An upload that ends in any other way than whole leaves nothing.
func TestSaveLeavesNothing(t *testing.T) {
	full := errcode.New(errcode.QuotaExceeded, "no more")
	noise := make([]byte, 6<<20)
	imgtest.ReadFull(t, imgtest.New(6<<20, 8, imgtest.Run{Off: 0, Len: 6 << 20, Kind: imgtest.Noise}), noise, 0)
	for _, c := range []struct {
		name  string
		body  io.Reader
		size  int64
		reach func(int64) error
		code  errcode.Code
	}{
		{"cut off in the first bytes", io.MultiReader(bytes.NewReader(noise[:100]), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, anyReach, errcode.UploadCutOff},
		{"cut off later", io.MultiReader(bytes.NewReader(noise), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, anyReach, errcode.UploadCutOff},
		{"shorter than announced", bytes.NewReader(noise), 7 << 20, anyReach, errcode.BadRequest},
		{"longer than announced", bytes.NewReader(noise), 5 << 20, anyReach, errcode.BadRequest},
		{"no room", bytes.NewReader(noise), -1, func(end int64) error {
			if end > 3<<20 {
				return full
			}
			return nil
		}, errcode.QuotaExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, store := newPipeline(t, t.TempDir())
			u := upload("raw", "bare")
			u.Size = c.size
			if _, err := p.Save(t.Context(), u, c.body, c.reach); errcode.Of(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			untouched(t, store)
		})
	}
}

func TestStage(t *testing.T) {
	p, _ := newPipeline(t, t.TempDir())
	want := make([]byte, 20<<20)
	imgtest.ReadFull(t, imgtest.New(20<<20, 9, imgtest.Run{Off: 10 << 20, Len: 1 << 20, Kind: imgtest.Noise}), want, 0)
	u := upload("raw", "bare")
	u.Stage = true
	n, err := p.Stage(t.Context(), u, bytes.NewReader(want), anyReach)
	if err != nil || n != 20<<20 {
		t.Fatal(n, err)
	}
	file := filepath.Join(p.StagingDir, u.ID, "upload")
	st, err := os.Stat(file)
	if err != nil || fsutil.Allocated(st) > 4<<20 {
		t.Errorf("zeros take room: %v, %v", st, err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes were staged, %v", err)
	}
	if _, err := p.Stage(t.Context(), u, bytes.NewReader(want), anyReach); err == nil {
		t.Error("it was staged twice")
	}
	if err := errors.Join(p.Discard(t.Context(), u), p.Discard(t.Context(), u)); err != nil {
		t.Fatal(err)
	}
	empty(t, p.StagingDir)
}
