package directio

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReadAt reads as os.File.ReadAt does: from the cache if most of it is there, and
// past it if not and it is long enough.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	if f.can() && off >= 0 && len(p) >= MinRead && !f.mostlyCached(off, len(p)) {
		n, err := f.past(p, off)
		if err != nil || n == len(p) {
			return n, err
		}
		done = n
	}
	n, err := f.f.ReadAt(p[done:], off+int64(done))
	return done + n, err
}

// mostlyCached reports whether at least half of a run is in the page cache. A kernel
// that cannot tell (before 6.5) is left to its cache: to read past it what is in it
// would be slower. It is asked and not tried out by a read that does not wait,
// because such a read begins to fill the cache.
func (f *File) mostlyCached(off int64, n int) bool {
	var st unix.Cachestat_t
	_, err := once(f.f, func(fd int) (int, error) {
		return 0, unix.Cachestat(uint(fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0)
	}, func(error) bool { return false })
	return err != nil || st.Cache*uint64(os.Getpagesize()) >= uint64(n)/2
}

// past reads whole blocks past the cache; 0 bytes and no error mean that it cannot.
// It asks once: behind a short answer, at the file's end, no block begins.
func (f *File) past(p []byte, off int64) (int, error) {
	if off%Block != 0 || !aligned(p) {
		return 0, nil
	}
	p = p[:len(p)/Block*Block]
	return once(f.direct, func(fd int) (int, error) { return unix.Pread(fd, p, off) }, f.refusal)
}

// once makes one call on a file's descriptor, again only if a signal has come
// between. An error that is excused is no bytes and no error.
func once(f *os.File, call func(fd int) (int, error), excused func(error) bool) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) {
		for {
			if n, failed = call(int(fd)); failed != unix.EINTR {
				return
			}
		}
	}); err != nil {
		return 0, err
	}
	switch {
	case failed == nil:
		return n, nil
	case excused(failed):
		return 0, nil
	}
	return 0, &os.PathError{Op: "read", Path: f.Name(), Err: failed}
}
