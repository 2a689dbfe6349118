package fsutil

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNextData(t *testing.T) {
	const size = 16 << 20
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("data"), 8<<20); err != nil {
		t.Fatal(err)
	}
	start, end, err := NextData(f, 0, size)
	if err != nil || start > 8<<20 || end < 8<<20+4 || end > size {
		t.Errorf("NextData(0) = [%d, %d), %v; want the run around %d", start, end, err, 8<<20)
	}
	if start < 8<<20-1<<16 {
		t.Skip("this file system does not tell its holes")
	}
	for _, off := range []int64{end, size - 1, size, size + 5} {
		if s, e, err := NextData(f, off, size); s != size || e != size || err != nil {
			t.Errorf("NextData(%d) = [%d, %d), %v; want nothing behind", off, s, e, err)
		}
	}
	if s, e, err := NextData(f, 8<<20+2, 8<<20+3); s != 8<<20+2 || e != 8<<20+3 || err != nil {
		t.Errorf("NextData is not clipped: [%d, %d), %v", s, e, err)
	}
	if _, _, err := NextData(f, -1, size); err == nil {
		t.Error("a negative offset is accepted")
	}
	if fi, err := f.Stat(); err != nil || Allocated(fi) <= 0 || Allocated(fi) > 1<<20 || Inode(fi) == 0 {
		t.Errorf("Allocated = %d, Inode = %d, %v", Allocated(fi), Inode(fi), err)
	}
}

func TestWriteDurable(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []string{"a long first text", "second"} {
		if err := WriteDurable(dir, "x", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || string(got) != want {
			t.Errorf("content = %q, %v; want %q", got, err, want)
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestRenameNoReplace(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, p := range []string{a, b} {
		if err := os.WriteFile(p, []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := RenameNoReplace(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename over a file: %v", err)
	}
	if err := os.Remove(b); err != nil {
		t.Fatal(err)
	}
	if err := RenameNoReplace(a, b); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(b); err != nil || string(got) != a {
		t.Errorf("content = %q, %v", got, err)
	}
}

func TestLockExcludesWithinAProcess(t *testing.T) {
	dir := t.TempDir()
	open := func() *os.File {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	a, b := open(), open()
	unlock, err := Lock(a)
	if err != nil {
		t.Fatal(err)
	}
	try := func() error { return unix.Flock(int(b.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
	if err := try(); err != unix.EWOULDBLOCK {
		t.Errorf("a second lock while the first is held: %v", err)
	}
	unlock()
	if err := try(); err != nil {
		t.Errorf("lock after unlock: %v", err)
	}
}

func TestFree(t *testing.T) {
	if n, err := Free(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("Free = %d, %v", n, err)
	}
	if _, err := Free(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Free of nothing: %v", err)
	}
}
