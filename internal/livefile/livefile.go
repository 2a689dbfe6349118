// Package livefile holds what a small private file says, and reads it again when it
// changes, so that a server follows its files without a restart.
package livefile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
)

// MaxBytes bounds a file.
const MaxBytes = 8 << 20

// A File is what a file says. It is safe for concurrent use.
type File[T any] struct {
	path  string
	parse func([]byte) (T, error)
	log   zerolog.Logger

	mu     sync.Mutex
	seen   stamp
	value  T
	failed string // what was last wrong with it, told once
}

// stamp tells one version of a file from another.
type stamp struct {
	inode uint64
	size  int64
	time  time.Time
	mode  fs.FileMode
}

// Open reads a file, which nobody but its owner may read or write. One that is not
// there is as if it were empty: it may come later. The error is
// errcode.IdentityFile.
func Open[T any](path string, parse func([]byte) (T, error), log zerolog.Logger) (*File[T], error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f := &File[T]{path: abs, parse: parse, log: log}
	f.seen, err = f.stat()
	if err == nil {
		f.value, err = f.load()
	}
	return f, err
}

// Get returns what the file says. One that is wrong leaves what it said before, and
// is logged once.
func (f *File[T]) Get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.stat()
	if err == nil && now == f.seen {
		return f.value
	}
	var v T
	if err == nil {
		f.seen = now // also if it is wrong: it is read again when it changes
		v, err = f.load()
	}
	switch {
	case err == nil:
		f.value, f.failed = v, ""
		f.log.Info().Str("file", filepath.Base(f.path)).Msg("file loaded")
	case err.Error() != f.failed:
		f.failed = err.Error()
		f.log.Error().Str("file", filepath.Base(f.path)).Str("error", f.failed).Msg("the file cannot be used; what it said before stays")
	}
	return f.value
}

// stat returns the stamp of the file, the zero one if there is none.
func (f *File[T]) stat() (stamp, error) {
	fi, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, f.wrong(err)
	}
	s := stamp{size: fi.Size(), time: fi.ModTime(), mode: fi.Mode()}
	if sys, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s, nil
}

func (f *File[T]) load() (T, error) {
	var none T
	raw, err := Read(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = nil, nil
	}
	if err != nil {
		return none, err
	}
	return f.parse(raw)
}

// Read reads a private file. The error is errcode.IdentityFile, around fs.ErrNotExist
// if it is not there.
func Read(path string) ([]byte, error) {
	file := &File[struct{}]{path: path}
	f, err := os.Open(path)
	if err != nil {
		return nil, file.wrong(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, file.wrong(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, file.wrong(errors.New("it is not a regular file"))
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, errcode.New(errcode.IdentityFile, "%s has mode %04o: others than its owner can read or write it", filepath.Base(path), fi.Mode().Perm()).
			With(errcode.Evidence{Structure: filepath.Base(path), Field: "mode", Value: fi.Mode().Perm().String(), Limit: "-rw-------"})
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, MaxBytes+1)); err != nil {
		return nil, file.wrong(err)
	}
	if b.Len() > MaxBytes {
		return nil, file.wrong(errors.New("it has more than 8 MiB"))
	}
	return b.Bytes(), nil
}

func (f *File[T]) wrong(err error) error {
	text := err.Error()
	var why *fs.PathError
	if errors.As(err, &why) {
		text = why.Err.Error()
	}
	return errcode.Wrap(err, errcode.IdentityFile, "read %s: %s", filepath.Base(f.path), text).
		With(errcode.Evidence{Structure: filepath.Base(f.path)})
}
