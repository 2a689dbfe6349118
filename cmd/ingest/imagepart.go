package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/progress"
)

// A part is a file that an image is saved into until it is whole. Its name holds the
// image and its digest: bytes of another image never meet in it.
type part struct {
	*os.File
	unlock func()
	kept   bool
}

// partPath is where the bytes of a download are until they are whole.
func partPath(path, id, digest string) string {
	tag := sha256.Sum256([]byte(id + " " + digest))
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+hex.EncodeToString(tag[:8])+".part")
}

// partSize is how much of an image a broken download has left, 0 for nothing.
func partSize(path string, img wire.Image) int64 {
	_, want, err := imageDigest(img)
	if err != nil {
		return 0
	}
	fi, err := os.Lstat(partPath(path, img.ID, want))
	if err != nil {
		return 0
	}
	return fi.Size()
}

// openPart opens the file that is there, or makes it. Whoever saves the same image into
// the same file meanwhile is waited for.
func openPart(path, id, digest string) (*part, error) {
	name := partPath(path, id, digest)
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := ours(f); err != nil {
			f.Close()
			return nil, err
		}
		unlock, err := fsutil.Lock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		here, err := os.Lstat(name)
		if fi, serr := f.Stat(); err == nil && serr == nil && os.SameFile(here, fi) {
			return &part{File: f, unlock: unlock}, nil
		}
		unlock() // it was renamed or removed while we waited
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// ours refuses a file that somebody else has laid there, who could change it after it was
// checked.
func ours(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !fi.Mode().IsRegular() || ok && int(st.Uid) != os.Geteuid() {
		return errcode.New(errcode.DestinationExist, "%s is there and belongs to somebody else: remove it, or save into another folder", f.Name())
	}
	return nil
}

// take reads what is there into sum, and returns how much that is. More than the image
// has is thrown away.
func (p *part) take(ctx context.Context, sum hash.Hash, most int64, d *progress.Display) (int64, error) {
	fi, err := p.Stat()
	if err != nil || fi.Size() == 0 {
		return 0, err
	}
	if fi.Size() > most {
		return 0, p.Truncate(0)
	}
	d.Stage("check")
	buf := make([]byte, 1<<20)
	var done int64
	for done < fi.Size() && ctx.Err() == nil {
		n, err := p.Read(buf)
		sum.Write(buf[:n])
		done += int64(n)
		d.Update(done, fi.Size())
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	p.kept = ctx.Err() != nil
	return done, ctx.Err()
}

// keep leaves what is there for another run.
func (p *part) keep() {
	fi, err := p.Stat()
	p.kept = err == nil && fi.Size() > 0
}

// Close ends the writing. A file that is not kept is removed.
func (p *part) Close() error {
	if p.unlock == nil {
		return nil
	}
	if !p.kept {
		_ = os.Remove(p.Name())
	}
	p.unlock()
	p.unlock = nil
	return p.File.Close()
}

// commit makes the bytes durable and gives them their name.
func (p *part) commit(path string, force bool) error {
	if err := errors.Join(p.Chmod(0o644), p.Sync()); err != nil {
		return err
	}
	move := fsutil.RenameNoReplace
	if force {
		move = os.Rename
	}
	err := move(p.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return errcode.New(errcode.DestinationExist, "%s exists already", path)
	}
	if err == nil {
		p.kept = true // under its own name
		err = fsutil.SyncDir(filepath.Dir(path))
	}
	return err
}
