package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// errFull ends a walk when the disk has its data.
var errFull = errors.New("enough")

// fill puts links to the folder's files, or copies of them, into root, in the order of
// their names, until data bytes are there. It returns how many entries it made.
func fill(ctx context.Context, from, root string, data int64) (entries int, err error) {
	var sum int64
	err = filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || name == "." {
			return err
		}
		to := filepath.Join(root, name)
		entries++
		switch {
		case e.IsDir():
			return os.Mkdir(to, 0o755)
		case e.Type() == fs.ModeSymlink:
			where, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(where, to)
		case !e.Type().IsRegular():
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if sum += (info.Size() + 4095) &^ 4095; sum > data {
			return errFull
		}
		return linkOrCopy(path, to)
	})
	if errors.Is(err, errFull) {
		err = nil
	}
	return entries, err
}

// linkOrCopy copies only what cannot be linked: files of another file system, or of
// somebody else.
func linkOrCopy(path, to string) error {
	if os.Link(path, to) == nil {
		return nil
	}
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil // not ours to read; others are
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := out.ReadFrom(in); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}
