package file

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ingest/internal/errcode"
	"ingest/sources"
)

// Name is the driver's name in a pin.
const Name = "file"

// A Driver opens files below its roots.
type Driver struct{ roots []string }

var _ sources.Driver = (*Driver)(nil)

// New returns a driver that reads only below the given folders. Without any it
// refuses everything. A relative root counts from the working directory.
func New(roots []string) *Driver {
	d := &Driver{}
	for _, root := range roots {
		if root == "" {
			continue
		}
		if abs, err := filepath.Abs(root); err == nil {
			d.roots = append(d.roots, abs)
		}
	}
	return d
}

// Name returns "file".
func (d *Driver) Name() string { return Name }

// Schemes returns the one scheme, which plain paths have too.
func (d *Driver) Schemes() []string { return []string{"file"} }

// Open opens a file and pins it.
func (d *Driver) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := pathOf(ref.URL)
	if err != nil {
		return nil, err
	}
	f, err := d.find(path)
	if err != nil {
		return nil, err
	}
	s, err := newSource(f, ref.URL)
	if err != nil {
		f.Close()
		return nil, err
	}
	if pin != nil {
		if err := s.matches(pin); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// pathOf returns the path that a reference names.
func pathOf(ref string) (string, error) {
	path := ref
	if strings.Contains(ref, "://") && !strings.HasPrefix(ref, "/") {
		u, err := url.Parse(ref)
		if err != nil || !strings.EqualFold(u.Scheme, "file") || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			(u.Host != "" && u.Host != "localhost") || !strings.HasPrefix(u.Path, "/") {
			return "", errcode.New(errcode.SourceURLInvalid, "a file URL is file:// and an absolute path, without host, query and fragment")
		}
		path = u.Path
	}
	if path == "" || strings.ContainsRune(path, 0) {
		return "", errcode.New(errcode.SourceURLInvalid, "the source's path is empty or holds a NUL")
	}
	return path, nil
}

// find opens the path below the first root that has it.
func (d *Driver) find(path string) (*os.File, error) {
	var last error
	for _, root := range d.roots {
		rel := path
		if filepath.IsAbs(path) {
			var err error
			if rel, err = filepath.Rel(root, path); err != nil {
				continue
			}
		}
		if !filepath.IsLocal(rel) {
			continue
		}
		f, err := openBelow(root, rel)
		if err == nil {
			return f, nil
		}
		// What is outside this root may be inside the next. Of several
		// answers the one that says most is kept.
		if said(err) > said(last) {
			last = err
		}
	}
	if last == nil {
		last = outside()
	}
	return nil, last
}

// said ranks answers by how much they say about the file that was meant.
func said(err error) int {
	switch errcode.Of(err) {
	case "":
		return 0
	case errcode.SourceOutsideRoots:
		return 1
	case errcode.SourceNotFound:
		return 2
	}
	return 3
}

// opener is what os.Root and the whole file system have in common.
type opener interface {
	Stat(name string) (fs.FileInfo, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Close() error
}

// openBelow opens a regular file below a root.
func openBelow(root, rel string) (*os.File, error) {
	var o opener = everything{}
	if root != "/" {
		r, err := os.OpenRoot(root)
		if err != nil {
			return nil, errcode.Wrap(err, errcode.SourceNotFound, "a file root of the server cannot be opened")
		}
		o = r
	}
	defer o.Close()
	// Looked at before it is opened, because opening alone can do something to
	// a device; and again behind, because the name may lead elsewhere by then.
	fi, err := o.Stat(rel)
	if err != nil {
		return nil, openError(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, notRegular(fi.Mode())
	}
	f, err := o.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, openError(err)
	}
	if fi, err = f.Stat(); err == nil && !fi.Mode().IsRegular() {
		err = notRegular(fi.Mode())
	}
	if err != nil {
		f.Close()
		return nil, openError(err)
	}
	return f, nil
}

// everything opens below the root "/".
type everything struct{}

func (everything) Stat(name string) (fs.FileInfo, error) { return os.Stat("/" + name) }
func (everything) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile("/"+name, flag, perm)
}
func (everything) Close() error { return nil }

func openError(err error) error {
	if _, ok := errcode.As(err); ok {
		return err
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return errcode.Wrap(err, errcode.SourceNotFound, "there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return errcode.Wrap(err, errcode.SourceAuth, "the server may not read the file")
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EXDEV), !errors.As(err, &errno):
		// os.Root's refusal to leave is the one error that has no number.
		return outside()
	}
	return errcode.Wrap(err, errcode.SourceUnreachable, "the file cannot be opened")
}

// outside does not say what the roots are: that is the operator's business.
func outside() error {
	return errcode.New(errcode.SourceOutsideRoots, "the path does not lie below a folder that may be read; the operator names such folders with --file-roots")
}

func notRegular(mode fs.FileMode) error {
	kind := "something else"
	switch {
	case mode.IsDir():
		kind = "a folder"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	}
	return errcode.New(errcode.SourceNotRegular, "the source is %s, not a regular file", kind)
}
