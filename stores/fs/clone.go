package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

var _ stores.Cloner = (*upload)(nil)

// rangeAtOnce is how much one call copies within the kernel, bytes: a call cannot be
// cut short.
const rangeAtOnce = 64 << 20

// Clone takes over an object of a store in a folder: its blocks, where both lie on a
// file system that can share them, and else its bytes, where both lie on a file
// system of another machine, which can copy them there.
func (u *upload) Clone(ctx context.Context, from stores.Object, progress func(int64)) (bool, error) {
	src, ok := from.(*object)
	if !ok {
		return false, nil
	}
	if err := u.usable(ctx); err != nil {
		return false, err
	}
	c := &u.content
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.gone != nil || c.size >= 0 {
		return false, errors.Join(c.gone, errcode.New(errcode.Conflict, "the upload takes no more bytes"))
	}
	for _, way := range u.s.ways() {
		err := way(ctx, c.f, src, progress)
		if err == nil {
			progress(src.size)
			return true, nil
		}
		// What was copied is taken back: bytes of an object that is damaged would stay
		// where another copy of it has holes.
		if err := c.f.Truncate(0); err != nil {
			return false, storeError(err, "take a copy back")
		}
		switch {
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case !cannot(err):
			return false, storeError(err, "copy an object of %d bytes", src.size)
		}
	}
	return false, nil
}

// A cloneWay fills a file with an object.
type cloneWay func(ctx context.Context, to *os.File, from *object, progress func(int64)) error

// ways are tried one after the other.
func (s *Store) ways() []cloneWay {
	if s.cloneWays != nil {
		return s.cloneWays
	}
	return []cloneWay{shareBlocks, copyElsewhere}
}

// elsewhere are the file systems that copy on another machine, by their magic
// numbers. One that copies on this machine does it through the page cache, and what
// is copied must still be read for its digest: on ext4 and tmpfs that takes half as
// long again as reading it once and writing what was read.
var elsewhere = []int64{unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC}

// copyElsewhere is copyRanges where it saves something.
func copyElsewhere(ctx context.Context, to *os.File, from *object, progress func(int64)) error {
	for _, f := range []*os.File{to, from.f} {
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
			return err
		}
		if !slices.Contains(elsewhere, int64(st.Type)) {
			return unix.EOPNOTSUPP
		}
	}
	return copyRanges(ctx, to, from, progress)
}

// cannot reports whether the file systems have no such way between these two files.
func cannot(err error) bool {
	return slices.ContainsFunc([]error{unix.EXDEV, unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL, unix.ENOTTY, unix.EPERM, unix.EBADF}, func(e error) bool {
		return errors.Is(err, e)
	})
}

// shareBlocks makes the file one of the same blocks, which are copied when one of
// both is written to. None of them ever is.
func shareBlocks(_ context.Context, to *os.File, from *object, _ func(int64)) error {
	return unix.IoctlFileClone(int(to.Fd()), int(from.f.Fd()))
}

// copyRanges has the file system copy what is no hole. One on another machine does
// so there.
func copyRanges(ctx context.Context, to *os.File, from *object, progress func(int64)) error {
	for off := int64(0); off < from.size; {
		start, end, err := fsutil.NextData(from.f, off, from.size)
		if err != nil {
			return err
		}
		if start == end {
			return nil
		}
		for off = start; off < end; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r, w := off, off
			n, err := unix.CopyFileRange(int(from.f.Fd()), &r, int(to.Fd()), &w, int(min(end-off, rangeAtOnce)), 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return err
			}
			if n == 0 {
				return io.ErrUnexpectedEOF
			}
			off += int64(n)
			progress(off)
		}
	}
	return nil
}
