package directio

import (
	"errors"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// Block is the unit of direct writes and reads, bytes: the page, and the block
	// of the common file systems. It is a multiple of every disk's sector.
	Block = 4 << 10
	// MinRun is the shortest run that goes past the cache, bytes. A direct write
	// waits for the disk; a short one is better left to be written back with others.
	MinRun = 64 << 10
	// MinRead is the shortest read that goes past the cache, bytes: below it the
	// kernel's reading ahead is worth more.
	MinRead = 512 << 10
)

// A File is a regular file with two ways to its bytes. It is safe for concurrent use
// as an *os.File is. The caller keeps, syncs and closes the file that it was made of.
type File struct {
	f *os.File
	// direct is the same file opened once more with O_DIRECT, nil if there is no
	// such way.
	direct *os.File
	// refused is set once a direct call was refused for its kind and not for the
	// disk's state: the file system does not take them after all.
	refused atomic.Bool
}

// Writer returns f with a direct way for writing. It never fails: without that way
// everything goes through the cache.
func Writer(f *os.File) *File { return open(f, unix.O_WRONLY) }

// Reader returns f with a direct way for reading.
func Reader(f *os.File) *File { return open(f, unix.O_RDONLY) }

// open opens the file once more. By its descriptor, because its name may be gone;
// not by fcntl, because the flag would be that of both ways.
func open(f *os.File, mode int) *File {
	out := &File{f: f}
	conn, err := f.SyscallConn()
	if err != nil {
		return out
	}
	_ = conn.Control(func(fd uintptr) {
		path := "/proc/self/fd/" + strconv.Itoa(int(fd))
		if d, err := os.OpenFile(path, mode|unix.O_DIRECT, 0); err == nil {
			out.direct = d
		}
	})
	return out
}

// Close closes the direct way and leaves the file open. A nil File has none.
func (f *File) Close() error {
	if f == nil || f.direct == nil {
		return nil
	}
	return f.direct.Close()
}

// can reports whether there is a direct way.
func (f *File) can() bool { return f.direct != nil && !f.refused.Load() }

// refusal reports whether err says that the file system takes no direct call of
// this kind, and remembers it.
func (f *File) refusal(err error) bool {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		f.refused.Store(true)
		return true
	}
	return false
}
