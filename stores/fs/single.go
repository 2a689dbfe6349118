package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// single is an upload that becomes one file at a path of the user's choice.
type single struct {
	content
	op        sync.Mutex
	temp      string
	path      string
	force     bool
	committed bool
	ended     bool
}

var _ stores.Upload = (*single)(nil)

// BeginFile starts an upload whose commit makes the file path. The bytes are
// collected in a hidden file beside it, named .<name>.ingest-<random>, so that
// path never holds half a file. Without force it refuses with
// errcode.DestinationExist if path exists, at the start and again at the
// commit. It cannot be resumed, and its Checkpoint keeps nothing.
func BeginFile(path string, force bool) (stores.Upload, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fileError(err, "find", path)
	}
	fi, err := os.Lstat(path)
	switch {
	case err == nil && fi.Mode().Type() != 0 && fi.Mode().Type() != os.ModeSymlink:
		return nil, errcode.New(errcode.DestinationExist, "%s exists and is not a regular file", path)
	case err == nil && !force:
		return nil, errcode.New(errcode.DestinationExist, "%s exists", path)
	case err != nil && !errors.Is(err, iofs.ErrNotExist):
		return nil, fileError(err, "look at", path)
	}
	// A name may have 255 bytes; the hidden file's must fit beside it.
	name := filepath.Base(path)
	name = strings.ToValidUTF8(name[:min(len(name), 180)], "")
	temp := filepath.Join(filepath.Dir(path), "."+name+".ingest-"+stores.NewRandom())
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fileError(err, "make a file beside", path)
	}
	u := &single{temp: temp, path: path, force: force}
	u.use(f, -1)
	return u, nil
}

// ID returns the path of the hidden file.
func (u *single) ID() string { return u.temp }

// Checkpoint does nothing, because the upload cannot be resumed.
func (u *single) Checkpoint(ctx context.Context, _ []byte) error { return ctx.Err() }

// Note returns nil.
func (u *single) Note() []byte { return nil }

// Seal ends the writing at size bytes.
func (u *single) Seal(ctx context.Context, size int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.op.Lock()
	defer u.op.Unlock()
	return u.seal(size, func() error { return nil })
}

// Commit renames the sealed file to its path, durably.
func (u *single) Commit(ctx context.Context, want stores.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.op.Lock()
	defer u.op.Unlock()
	if u.ended {
		return u.gone
	}
	if size, ok := u.Sealed(); !ok {
		return errcode.New(errcode.Conflict, "the file is not sealed")
	} else if want.Size != size {
		return errcode.New(errcode.VerifyMismatch, "the file is sealed at %d bytes, but the digest is of %d", size, want.Size)
	}
	if !u.committed {
		rename := fsutil.RenameNoReplace
		if u.force {
			rename = os.Rename
		}
		if err := rename(u.temp, u.path); err != nil {
			return fileError(err, "rename to", u.path)
		}
		u.committed = true
	}
	return fileError(fsutil.SyncDir(filepath.Dir(u.path)), "make durable", u.path)
}

// Abort removes the hidden file.
func (u *single) Abort(context.Context) error {
	u.op.Lock()
	defer u.op.Unlock()
	if u.ended || u.committed {
		return nil
	}
	u.ended = true
	err := u.end(stores.Unknown(u.temp))
	if rm := os.Remove(u.temp); rm != nil && !errors.Is(rm, iofs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return fileError(err, "remove the temporary file of", u.path)
}

// Close closes the file. Before the commit that gives it up: nothing can take
// it up again, so the hidden file is removed.
func (u *single) Close() error {
	if err := u.Abort(context.Background()); err != nil {
		return err
	}
	u.op.Lock()
	defer u.op.Unlock()
	u.ended = true
	return fileError(u.end(closedError()), "close", u.path)
}

// fileError is storeError for a path that the user has named.
func fileError(err error, doing, path string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, iofs.ErrExist):
		return errcode.Wrap(err, errcode.DestinationExist, "%s exists", path)
	case errors.Is(err, iofs.ErrNotExist):
		return errcode.Wrap(err, errcode.NotFound, "%s: there is no folder %s", path, filepath.Dir(path))
	case errors.Is(err, iofs.ErrPermission):
		return errcode.Wrap(err, errcode.Forbidden, "%s %s: permission denied", doing, path)
	}
	return storeError(err, "%s %s", doing, path)
}
