package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ingest/internal/errcode"
	"ingest/stores"
)

const testKey = "6f6f0ab4-2f0e-4b6c-9a53-0e6f2f9d3c11/0d9c5a3e-7a0b-4c55-8b3f-1e2d3c4b5a69"

var errStopped = errors.New("stopped by the test")

// stopAfter makes the store stop for good behind its n-th step, as a crash
// would. It returns the name of the step reached, "" while there was none.
func stopAfter(s *Store, n int) *string {
	reached := new(string)
	s.step = func(at string) error {
		if n--; n > 0 {
			return nil
		}
		if *reached == "" {
			*reached = at
		}
		return errStopped
	}
	return reached
}

func beginSealed(t *testing.T, s *Store, p []byte) stores.Upload {
	t.Helper()
	u, err := s.Begin(t.Context(), testKey, int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	if _, err := u.WriteAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if err := u.Seal(t.Context(), int64(len(p))); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestCrash stops an operation behind each of its steps, takes the upload up
// again in another store, and brings it to either end.
func TestCrash(t *testing.T) {
	p := bytes.Repeat([]byte("ingest"), 1000)
	want := stores.Digest{Algo: "sha256", Hex: "00", Size: int64(len(p))}
	operations := map[string]func(context.Context, stores.Upload) error{
		"commit": func(ctx context.Context, u stores.Upload) error { return u.Commit(ctx, want) },
		"abort":  func(ctx context.Context, u stores.Upload) error { return u.Abort(ctx) },
	}
	steps := map[string]int{"commit": 9, "abort": 4}
	for name, operation := range operations {
		for _, ending := range []string{"commit", "abort", "reap", "same handle"} {
			for n := 1; ; n++ {
				s := open(t, t.TempDir())
				u := beginSealed(t, s, p)
				reached := stopAfter(s, n)
				err := operation(t.Context(), u)
				if *reached == "" {
					if err != nil {
						t.Fatalf("%s without a stop: %v", name, err)
					}
					if n-1 != steps[name] {
						t.Errorf("%s has %d steps, the test knows %d", name, n-1, steps[name])
					}
					break
				}
				if !errors.Is(err, errStopped) {
					t.Fatalf("%s stopped at %s: %v", name, *reached, err)
				}
				t.Run(fmt.Sprintf("%s stopped at %s then %s", name, *reached, ending), func(t *testing.T) {
					s.step = nil
					finish(t, s.dir, u, ending, p, want)
				})
			}
		}
	}
}

// finish takes an interrupted upload to its end and checks that either the
// whole object is there or nothing at all.
func finish(t *testing.T, dir string, u stores.Upload, ending string, p []byte, want stores.Digest) {
	ctx := t.Context()
	s := open(t, dir)
	_, err := s.Stat(ctx, testKey)
	visible := err == nil
	if visible {
		checkObject(t, s, p)
	}
	id := u.ID()
	switch ending {
	case "same handle":
		if err := u.Commit(ctx, want); err != nil && visible {
			t.Fatalf("Commit again: %v", err)
		}
		if err := u.Abort(ctx); err != nil {
			t.Fatalf("Abort: %v", err)
		}
	case "reap":
		for info, err := range s.Uploads(ctx, time.Now().Add(time.Hour)) {
			if err != nil || info.ID != id || info.Key != testKey {
				t.Fatalf("Uploads yields %+v, %v", info, err)
			}
			v, err := s.Resume(ctx, info.ID)
			if errcode.Of(err) == errcode.UploadUnknown {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Abort(ctx); err != nil {
				t.Fatalf("Abort: %v", err)
			}
			v.Close()
		}
	default:
		v, err := s.Resume(ctx, id)
		if errcode.Of(err) == errcode.UploadUnknown && !visible {
			break // the abort had got far enough
		}
		if err != nil {
			t.Fatalf("Resume: %v", err)
		}
		defer v.Close()
		if ending == "commit" {
			if err := v.Commit(ctx, want); err != nil {
				t.Fatalf("Commit: %v", err)
			}
			checkObject(t, s, p)
			visible = true
		}
		if err := v.Abort(ctx); err != nil {
			t.Fatalf("Abort: %v", err)
		}
	}
	if _, err := s.Stat(ctx, testKey); visible && err != nil {
		t.Errorf("the object is gone: %v", err)
	}
	if err := s.Delete(ctx, testKey); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func checkObject(t *testing.T, s *Store, p []byte) {
	t.Helper()
	r, err := s.OpenRange(t.Context(), testKey, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p) {
		t.Errorf("object of %d bytes, %v; want the %d that were sealed", len(got), err, len(p))
	}
}

// TestDeleteCrash stops Delete between bytes and record.
func TestDeleteCrash(t *testing.T) {
	for n := 1; n <= 2; n++ {
		s := open(t, t.TempDir())
		u := beginSealed(t, s, []byte("abc"))
		if err := u.Commit(t.Context(), stores.Digest{Size: 3}); err != nil {
			t.Fatal(err)
		}
		reached := stopAfter(s, n)
		if err := s.Delete(t.Context(), testKey); !errors.Is(err, errStopped) {
			t.Fatalf("Delete stopped at %q: %v", *reached, err)
		}
		s = open(t, s.dir)
		if _, err := s.Stat(t.Context(), testKey); errcode.Of(err) != errcode.NotFound {
			t.Errorf("Stat after half a Delete: %v", err)
		}
		for o := range s.Objects(t.Context()) {
			t.Errorf("half deleted object is listed: %+v", o)
		}
		remains := 0
		for o, err := range s.Remains(t.Context()) {
			if remains++; err != nil || o.Key != testKey || o.Committed.IsZero() || o.Allocated < 0 {
				t.Errorf("remains %+v, %v", o, err)
			}
		}
		if want := 2 - n; remains != want {
			t.Errorf("stopped at %q: %d remains, want %d", *reached, remains, want)
		}
		if _, err := s.Resume(t.Context(), u.ID()); errcode.Of(err) != errcode.UploadUnknown {
			t.Errorf("Resume after half a Delete: %v", err)
		}
		if err := s.Delete(t.Context(), testKey); err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, s.dir); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// TestHalfBegun reaps what a crash in Begin leaves: a folder with or without data.
func TestHalfBegun(t *testing.T) {
	for _, names := range [][]string{{}, {dataName}, {dataName, manifestName + ".tmp"}} {
		s := open(t, t.TempDir())
		id := stores.NewID(testKey)
		dir := s.uploadDir(id)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for info := range s.Uploads(t.Context(), time.Now().Add(time.Hour)) {
			n++
			if u, err := s.Resume(t.Context(), info.ID); err == nil {
				if err := u.Abort(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if left := leftovers(t, s.dir); n != 1 || len(left) > 0 {
			t.Errorf("%q: %d uploads listed, left behind: %q", names, n, left)
		}
	}
}

func TestNoSpace(t *testing.T) {
	s := open(t, t.TempDir())
	for _, tt := range []struct {
		free, size int64
		want       errcode.Code
	}{
		{MinFree, -1, ""}, {MinFree - 1, -1, errcode.NoSpace}, {MinFree, 1 << 60, ""}, {MinFree - 1, 1 << 60, errcode.NoSpace},
		{1000, 1000, ""}, {999, 1000, errcode.NoSpace}, {0, 0, ""},
	} {
		s.free = func() (int64, error) { return tt.free, nil }
		u, err := s.Begin(t.Context(), testKey, tt.size)
		if errcode.Of(err) != tt.want {
			t.Errorf("Begin of %d bytes with %d free: %v, want %q", tt.size, tt.free, err, tt.want)
		}
		if err == nil {
			if err := u.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	for _, errno := range []error{unix.ENOSPC, unix.EDQUOT} {
		if got := errcode.Of(storeError(&os.PathError{Op: "write", Err: errno}, "write")); got != errcode.NoSpace {
			t.Errorf("%v has code %s", errno, got)
		}
	}
}

// TestFullDevice meets a real ENOSPC where the kernel has one to offer.
func TestFullDevice(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	var c content
	c.use(f, -1)
	defer c.end(closedError())
	if _, err := c.WriteAt([]byte("x"), 0); errcode.Of(err) != errcode.NoSpace {
		t.Errorf("WriteAt on a full device: %v", err)
	}
}

// TestLateAbort has an overtaken handle begin to abort at the very moment at
// which its successor has committed and cleared the upload away.
func TestLateAbort(t *testing.T) {
	s := open(t, t.TempDir())
	old := beginSealed(t, s, []byte("abc")).(*upload)
	young, err := s.Resume(t.Context(), old.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer young.Close()
	if err := young.Commit(t.Context(), stores.Digest{Size: 3}); err != nil {
		t.Fatal(err)
	}
	if err := old.changeOr(func(*manifest) error { return nil }, old.remove); err != nil {
		t.Error(err)
	}
	checkObject(t, s, []byte("abc"))
	if _, err := s.Stat(t.Context(), testKey); err != nil {
		t.Errorf("the successor's object has lost its record: %v", err)
	}
}

// TestFailedSync shows that a handle whose sync failed never succeeds again,
// and that the next handle does.
func TestFailedSync(t *testing.T) {
	s := open(t, t.TempDir())
	w, err := s.Begin(t.Context(), testKey, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	u := w.(*upload)
	if err := u.sync(func(*os.File) error { return unix.EIO }); errcode.Of(err) != errcode.StoreUnavailable {
		t.Errorf("failed sync: %v", err)
	}
	for what, err := range map[string]error{"Checkpoint": u.Checkpoint(t.Context(), nil), "Seal": u.Seal(t.Context(), 3)} {
		if !errors.Is(err, unix.EIO) {
			t.Errorf("%s after a failed sync: %v", what, err)
		}
	}
	v, err := s.Resume(t.Context(), u.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Seal(t.Context(), 3); err != nil {
		t.Errorf("Seal by the next handle: %v", err)
	}
	_ = v.(*upload).sync(func(*os.File) error { return unix.EIO })
	if err := v.Commit(t.Context(), stores.Digest{Size: 3}); !errors.Is(err, unix.EIO) {
		t.Errorf("Commit after a failed sync: %v", err)
	}
	if err := v.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}
