package fsutil

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// TempSuffix ends the name of the file that WriteDurable renames. One that is
// met later was left by a crash and holds nothing of value.
const TempSuffix = ".tmp"

// WriteDurable gives dir/name the content b, atomically and durably: after a
// crash the file holds the old bytes or the new ones. Calls for one name must
// not overlap.
func WriteDurable(dir, name string, b []byte) error {
	if err := WriteTemp(dir, name, b); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, name+TempSuffix), filepath.Join(dir, name)); err != nil {
		return err
	}
	return SyncDir(dir)
}

// WriteTemp writes b durably to dir/name + TempSuffix, for a rename by the caller.
func WriteTemp(dir, name string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(dir, name+TempSuffix), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes the names in a folder durable.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Datasync makes a file's bytes, and its length, durable.
func Datasync(f *os.File) error {
	return control(f, "fdatasync", unix.Fdatasync)
}

// Lock takes the advisory lock of an open file or folder and waits for it. The
// lock belongs to f's open file description, so two opens of one file exclude
// each other even within a process, and the lock ends when a process dies.
func Lock(f *os.File) (unlock func(), err error) {
	if err := control(f, "flock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX) }); err != nil {
		return nil, err
	}
	return func() { _ = control(f, "flock", func(fd int) error { return unix.Flock(fd, unix.LOCK_UN) }) }, nil
}

// RenameNoReplace renames a file and fails with fs.ErrExist if there is
// something at the new name already, without a moment in between.
func RenameNoReplace(oldPath, newPath string) error {
	err := unix.Renameat2(unix.AT_FDCWD, oldPath, unix.AT_FDCWD, newPath, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// The file system does not know the flag; a hard link refuses too.
		if err := os.Link(oldPath, newPath); err != nil {
			return err
		}
		return os.Remove(oldPath)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldPath, New: newPath, Err: err}
	}
	return nil
}

// Allocated returns the bytes that a file takes on disk, -1 if that is unknown.
func Allocated(fi fs.FileInfo) int64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return st.Blocks * 512 // st_blocks counts 512-byte units on every file system, stat(2)
}

// Inode returns the file's inode number, 0 if that is unknown.
func Inode(fi fs.FileInfo) uint64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ino
}

// Free returns the bytes that an unprivileged writer can still add to the file
// system that holds path.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
		}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// NextData returns the first run of data of f at or after off, within size
// bytes. start == end == size if only holes follow. A file system that does not
// tell its holes yields one run to the end.
func NextData(f *os.File, off, size int64) (start, end int64, err error) {
	if off < 0 {
		return 0, 0, fmt.Errorf("find data at offset %d", off)
	}
	if off >= size {
		return size, size, nil
	}
	start, err = seek(f, off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // no data behind off
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
		return off, size, nil
	case err != nil:
		return 0, 0, err
	}
	if start >= size {
		return size, size, nil
	}
	end, err = seek(f, start, unix.SEEK_HOLE)
	if err != nil {
		return 0, 0, err
	}
	if end <= start { // the file shrank or changed in between: claim data, and let the read tell
		end = size
	}
	return start, min(end, size), nil
}

func seek(f *os.File, off int64, whence int) (int64, error) {
	var at int64
	err := control(f, "seek", func(fd int) (err error) {
		at, err = unix.Seek(fd, off, whence)
		return err
	})
	return at, err
}

// control runs a system call on f's descriptor, again when a signal interrupts it.
func control(f *os.File, op string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if callErr = call(int(fd)); callErr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if callErr != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: callErr}
	}
	return nil
}
