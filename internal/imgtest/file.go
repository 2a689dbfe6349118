package imgtest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ingest/formats"
)

// WriteRaw writes the disk as a sparse raw file into the test's own folder and
// returns its path: holes stay holes, stored zeros are written.
func WriteRaw(t testing.TB, d *Disk) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(d.Size()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	for _, r := range d.Runs() {
		if r.Kind == Hole {
			continue
		}
		if _, err := io.CopyBuffer(io.NewOffsetWriter(f, r.Off), onlyReader{io.NewSectionReader(d, r.Off, r.Len)}, buf); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// onlyReader hides WriteTo, so that io.CopyBuffer uses its buffer.
type onlyReader struct{ io.Reader }

// A File is an open file that knows its size and its holes.
type File struct {
	f    *os.File
	size int64
	mu   sync.Mutex // guards the seek position
}

var _ formats.DataFinder = (*File)(nil)

// OpenFile opens the file for reading and closes it when the test ends.
func OpenFile(t testing.TB, path string) *File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return &File{f: f, size: st.Size()}
}

// Size returns the file size in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads from the file.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// NextData returns the first run at or after off that the file system stores.
func (f *File) NextData(off int64) (start, end int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= f.size {
		return f.size, f.size, nil
	}
	start, err = f.f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, syscall.ENXIO) {
		return f.size, f.size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = f.f.Seek(start, unix.SEEK_HOLE)
	return start, min(end, f.size), err
}
