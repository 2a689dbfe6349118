package file

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"ingest/exports"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// A file is a destination and the hidden file that becomes it.
type file struct {
	root  *os.Root // of the folder that it lies in
	shown string   // the path that was asked for
	name  string   // of the destination in its folder
	temp  string   // of the hidden file
	force bool

	f    *os.File
	op   sync.Mutex // taken by what changes the state below
	mu   sync.RWMutex
	note []byte
	size int64 // sealed, -1 while it is written
	done bool  // committed, by this attempt or the one before
	gone bool
}

var (
	_ exports.Writable = (*file)(nil)
	_ stores.Upload    = upload{}
)

// An upload is the file as what is written.
type upload struct{ *file }

// Abort throws the bytes away.
func (u upload) Abort(ctx context.Context) error { return u.file.Abort(ctx) }

// A record is what stands in the note's file.
type record struct {
	Note   []byte `json:"note,omitempty"`
	Sealed int64  `json:"sealed"` // bytes, -1 while it is written
}

// maxRecord bounds a note, bytes: an encoder's state is a few MiB at most.
const maxRecord = 64 << 20

// Shown is the path.
func (f *file) Shown() string { return f.shown }

// Upload is what the destination is written through.
func (f *file) Upload() stores.Upload { return upload{f} }

// open takes up what is there.
func (f *file) open() error {
	if err := f.recall(); err != nil {
		return err
	}
	at, err := f.root.Lstat(f.name)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fileError(err, "look at", f.shown)
	}
	there := err == nil
	if there && at.Mode().Type() != 0 {
		return exist(f.shown)
	}
	if f.done, err = f.committed(at); err != nil {
		return err
	}
	switch {
	case f.done:
		f.f, err = f.root.OpenFile(f.name, os.O_RDONLY, 0)
	case there && !f.force:
		return exist(f.shown)
	default:
		if err := f.doubt(); err != nil {
			return err
		}
		f.f, err = f.root.OpenFile(f.temp, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	}
	return fileError(err, "open", f.shown)
}

// doubt forgets a note whose bytes somebody else has taken away: the hidden file, or the
// destination that it had become.
func (f *file) doubt() error {
	at, err := f.root.Lstat(f.temp)
	switch {
	case err == nil && (f.size < 0 || at.Size() == f.size), f.note == nil && f.size < 0:
		return nil
	case err != nil && !errors.Is(err, iofs.ErrNotExist):
		return fileError(err, "look at", f.shown)
	}
	f.note, f.size = nil, -1
	return fileError(f.root.Remove(f.temp+".note"), "tidy beside", f.shown)
}

// committed reports whether an attempt before has made the destination, at which it may
// have been killed between the two names.
func (f *file) committed(at iofs.FileInfo) (bool, error) {
	if at == nil || f.size < 0 || at.Size() != f.size {
		return false, nil
	}
	temp, err := f.root.Lstat(f.temp)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, fileError(err, "look at", f.shown)
	case !os.SameFile(at, temp):
		return false, nil
	}
	return true, fileError(f.root.Remove(f.temp), "tidy beside", f.shown)
}

// recall reads the note.
func (f *file) recall() error {
	in, err := f.root.OpenFile(f.temp+".note", os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fileError(err, "read the note of", f.shown)
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxRecord))
	if err != nil {
		return fileError(err, "read the note of", f.shown)
	}
	r := record{Sealed: -1}
	if json.Unmarshal(raw, &r) == nil { // one that is damaged vouches for nothing
		f.note, f.size = r.Note, r.Sealed
	}
	return nil
}

// remember writes the note durably.
func (f *file) remember(r record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write a note")
	}
	out, err := f.root.OpenFile(f.temp+".note.new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		_, err = out.Write(raw)
		err = errors.Join(err, out.Sync(), out.Close())
	}
	if err == nil {
		err = f.root.Rename(f.temp+".note.new", f.temp+".note")
	}
	return fileError(err, "keep a note beside", f.shown)
}

// ID returns the name of the hidden file.
func (f *file) ID() string { return f.temp }

// WriteAt writes, so that what is never written stays a hole.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.size >= 0 || f.gone {
		return 0, errcode.New(errcode.Conflict, "the file takes no more bytes")
	}
	n, err := f.f.WriteAt(p, off)
	return n, fileError(err, "write to", f.shown)
}

// Checkpoint makes the bytes durable, and then the note.
func (f *file) Checkpoint(ctx context.Context, note []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.op.Lock()
	defer f.op.Unlock()
	if size, sealed := f.Sealed(); sealed {
		return errcode.New(errcode.Conflict, "the file is sealed at %d bytes", size)
	}
	if err := f.f.Sync(); err != nil {
		return fileError(err, "make durable", f.shown)
	}
	if err := f.remember(record{Note: note, Sealed: -1}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note = note
	return nil
}

// Note returns the last note.
func (f *file) Note() []byte {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.note
}

// Seal ends the writing at size bytes.
func (f *file) Seal(ctx context.Context, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.op.Lock()
	defer f.op.Unlock()
	if at, sealed := f.Sealed(); sealed && at != size {
		return errcode.New(errcode.Conflict, "the file is sealed at %d bytes, not %d", at, size)
	} else if sealed {
		return nil
	}
	if err := errors.Join(f.f.Truncate(size), f.f.Sync()); err != nil {
		return fileError(err, "end", f.shown)
	}
	if err := f.remember(record{Note: f.Note(), Sealed: size}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size = size
	return nil
}

// Sealed returns the sealed size.
func (f *file) Sealed() (int64, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return max(f.size, 0), f.size >= 0
}

// ReaderAt reads the sealed bytes and knows their holes.
func (f *file) ReaderAt() (io.ReaderAt, error) {
	size, sealed := f.Sealed()
	if !sealed {
		return nil, errcode.New(errcode.Conflict, "the file is not sealed yet")
	}
	return reader{f, size}, nil
}

type reader struct {
	*file
	end int64
}

// ReadAt reads sealed bytes.
func (r reader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = fileError(err, "read", r.shown)
	}
	return n, err
}

// NextData returns the first run of data at or after off.
func (r reader) NextData(off int64) (start, end int64, err error) {
	start, end, err = fsutil.NextData(r.f, off, r.end)
	return start, end, fileError(err, "find the data of", r.shown)
}

// Commit gives the sealed file its name, durably.
func (f *file) Commit(ctx context.Context, want stores.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.op.Lock()
	defer f.op.Unlock()
	if size, sealed := f.Sealed(); !sealed || want.Size != size {
		return errcode.New(errcode.VerifyMismatch, "the file is not sealed at %d bytes", want.Size)
	}
	if !f.done {
		if err := f.rename(); err != nil {
			return fileError(err, "rename to", f.shown)
		}
		f.done = true
	}
	folder, err := f.root.Open(".")
	if err == nil {
		err = errors.Join(folder.Sync(), folder.Close())
	}
	return fileError(err, "make durable", f.shown)
}

// rename gives the hidden file the destination's name, which nobody may have taken
// meanwhile. A file system without links is looked at first.
func (f *file) rename() error {
	if f.force {
		return f.root.Rename(f.temp, f.name)
	}
	err := f.root.Link(f.temp, f.name)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EMLINK) {
		if _, err := f.root.Lstat(f.name); err == nil {
			return iofs.ErrExist
		}
		return f.root.Rename(f.temp, f.name)
	}
	if err != nil {
		return err
	}
	return f.root.Remove(f.temp)
}

// Abort removes the hidden file and the note. A file that has its name keeps it.
func (f *file) Abort(context.Context) error {
	f.op.Lock()
	defer f.op.Unlock()
	f.mu.Lock()
	f.gone = true
	f.mu.Unlock()
	var errs []error
	for _, name := range []string{f.temp, f.temp + ".note.new", f.temp + ".note"} {
		if err := f.root.Remove(name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return fileError(errors.Join(errs...), "tidy beside", f.shown)
}

// Close lets go of the file and keeps it.
func (f *file) Close() error {
	f.op.Lock()
	defer f.op.Unlock()
	if f.f == nil {
		return nil
	}
	err := errors.Join(f.f.Close(), f.root.Close())
	f.f = nil
	return fileError(err, "close", f.shown)
}

func noSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}
