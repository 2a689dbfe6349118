package fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// holed are bytes with holes at the begin, within and at the end.
func holed() []byte {
	p := make([]byte, 5<<20+77)
	rng := rand.New(rand.NewSource(1))
	for _, r := range [][2]int{{64 << 10, 1 << 20}, {3 << 20, 3<<20 + 5}, {4 << 20, 4<<20 + 64<<10}} {
		rng.Read(p[r[0]:r[1]])
	}
	return p
}

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, "s")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kept commits the bytes, without their zeros, and opens them.
func kept(t *testing.T, s *Store, p []byte) stores.Object {
	t.Helper()
	up := begun(t, s)
	for off := 0; off < len(p); off += 4096 {
		if block := p[off:min(off+4096, len(p))]; bytes.Count(block, []byte{0}) < len(block) {
			if _, err := up.WriteAt(block, int64(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(up.Seal(t.Context(), int64(len(p))), up.Commit(t.Context(), stores.Digest{Algo: "sha256", Hex: "aa", Size: int64(len(p))})); err != nil {
		t.Fatal(err)
	}
	key, _ := stores.KeyOfID(up.ID())
	o, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func begun(t *testing.T, s *Store) *upload {
	t.Helper()
	up, err := s.Begin(t.Context(), stores.NewKey("0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11", "0d9b3c58-2a56-4f0c-8b1c-"+hexOf(rand.Int63n(1<<47))), -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	return up.(*upload)
}

func hexOf(n int64) string {
	const digits = "0123456789abcdef"
	p := make([]byte, 12)
	for i := range p {
		p[i] = digits[n>>(4*i)&15]
	}
	return string(p)
}

// cloned clones an object, and holds the bytes and the room that they take against
// what is wanted.
func cloned(t *testing.T, s *Store, o stores.Object, want []byte) {
	t.Helper()
	up := begun(t, s)
	last := int64(0)
	if ok, err := up.Clone(t.Context(), o, func(n int64) { last = n }); !ok || err != nil {
		t.Fatalf("clone: %v, %v", ok, err)
	}
	if err := up.Seal(t.Context(), o.Size()); err != nil {
		t.Fatal(err)
	}
	r, err := up.ReaderAt()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, want) || last != o.Size() {
		t.Errorf("the clone has other bytes: %v; told %d of %d", err, last, o.Size())
	}
	if fi, err := up.f.Stat(); err != nil || fsutil.Allocated(fi) > 2<<20 {
		t.Errorf("the holes are filled: %d bytes, %v", fsutil.Allocated(fi), err)
	}
}

// What the file system copies has the bytes and the holes of the object, also between
// two file systems of a kind, and from the disk to one in memory as far as it can.
func TestCopiedRanges(t *testing.T) {
	want := holed()
	for _, dir := range []string{t.TempDir(), inMemory(t)} {
		from, to := opened(t, filepath.Join(dir, "a")), opened(t, filepath.Join(dir, "b"))
		to.cloneWays = []cloneWay{copyRanges}
		cloned(t, to, kept(t, from, want), want)
		cloned(t, to, kept(t, from, nil), nil)
	}
}

func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "clone")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestSharedBlocks needs a file system that can share blocks: it makes one, which
// takes a mount.
func TestSharedBlocks(t *testing.T) {
	dir := withReflinks(t)
	from, to := opened(t, filepath.Join(dir, "a")), opened(t, filepath.Join(dir, "b"))
	want := holed()
	cloned(t, to, kept(t, from, want), want)
	// Half of what is left, three times.
	free, err := to.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat(want[64<<10:1<<20], int(free/2)>>20)
	o := kept(t, from, big)
	for range 3 {
		up := begun(t, to)
		if ok, err := up.Clone(t.Context(), o, func(int64) {}); !ok || err != nil {
			t.Fatalf("clone: %v, %v", ok, err)
		}
		if err := up.Seal(t.Context(), o.Size()); err != nil {
			t.Fatal(err)
		}
	}
}

func withReflinks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	img, at := filepath.Join(dir, "xfs"), filepath.Join(dir, "at")
	for _, args := range [][]string{
		{"truncate", "-s", "400M", img}, {"mkfs.xfs", "-q", "-m", "reflink=1", img}, {"mkdir", at}, {"mount", "-o", "loop", img, at},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil && args[0] == "mount" && os.Getenv("INGEST_MUST_MOUNT") == "" {
			t.Skipf("NOT TESTED: blocks that files share; no file system can be mounted here: %s", out)
		}
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

// Where nothing can be cloned, the upload is as before and takes bytes; an upload that
// takes none clones none either.
func TestNotCloned(t *testing.T) {
	s := opened(t, t.TempDir())
	want := holed()
	o := kept(t, s, want)
	ctx := t.Context()
	refuses := func(err error) cloneWay {
		return func(context.Context, *os.File, *object, func(int64)) error { return err }
	}
	s.cloneWays = []cloneWay{refuses(unix.EXDEV), copyElsewhere, refuses(unix.EOPNOTSUPP)}
	up := begun(t, s)
	if ok, err := up.Clone(ctx, o, func(int64) {}); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if ok, err := up.Clone(ctx, struct{ stores.Object }{o}, func(int64) {}); ok || err != nil {
		t.Errorf("the object of another store: %v, %v", ok, err)
	}
	s.cloneWays = []cloneWay{refuses(unix.ENOSPC)}
	if ok, err := up.Clone(ctx, o, func(int64) {}); ok || errcode.Of(err) != errcode.NoSpace {
		t.Errorf("a full disk: %v, %v", ok, err)
	}
	s.cloneWays = nil
	if err := up.Seal(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if ok, err := up.Clone(ctx, o, func(int64) {}); ok || errcode.Of(err) != errcode.Conflict {
		t.Errorf("a sealed upload: %v, %v", ok, err)
	}
}

// A clone that ends in its middle leaves nothing, also where what is written instead
// has holes.
func TestCutCloneIsTakenBack(t *testing.T) {
	s := opened(t, t.TempDir())
	o := kept(t, s, holed())
	for _, why := range []error{unix.EIO, unix.EOPNOTSUPP} {
		s.cloneWays = []cloneWay{func(_ context.Context, to *os.File, _ *object, _ func(int64)) error {
			_, err := to.WriteAt([]byte("damaged"), 4096)
			return errors.Join(err, why)
		}}
		up := begun(t, s)
		if ok, _ := up.Clone(t.Context(), o, func(int64) {}); ok {
			t.Fatal("cloned")
		}
		if err := up.Seal(t.Context(), 8192); err != nil {
			t.Fatal(err)
		}
		r, err := up.ReaderAt()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8192)
		if _, err := r.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, make([]byte, 8192)) {
			t.Errorf("%v: bytes of the clone are left: %v", why, err)
		}
	}
}
