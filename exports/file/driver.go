package file

import (
	"context"
	"errors"
	iofs "io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ingest/exports"
	"ingest/internal/errcode"
)

// A Driver exports below its roots.
type Driver struct{ roots []string }

var _ exports.Driver = (*Driver)(nil)

// New returns a driver that writes below the given folders only, which are absolute.
func New(roots []string) *Driver { return &Driver{roots} }

// Schemes returns the one scheme, which plain paths have too.
func (d *Driver) Schemes() []string { return []string{"file"} }

// Open opens the destination's folder and what an earlier attempt has left there.
func (d *Driver) Open(_ context.Context, to exports.Destination, _ []byte) (exports.Target, error) {
	name, err := pathOf(to.URL)
	if err != nil {
		return nil, err
	}
	root, rel, ok := d.below(name)
	if !ok {
		return nil, errcode.New(errcode.DestinationOutside, "the path does not lie below a folder that may be written to").
			With(errcode.Evidence{Structure: "request", Field: "destination.url", Value: errcode.Shown(name)})
	}
	folder, err := openFolder(root, path.Dir(rel))
	if err != nil {
		return nil, fileError(err, "find the folder of", name)
	}
	f := &file{root: folder, shown: name, name: path.Base(rel), force: to.Overwrite, size: -1}
	f.temp = hidden(f.name, to.Task)
	if err := f.open(); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return f, nil
}

// hidden is the name of the file in which the bytes are collected. A name may have 255
// bytes; this one and its note's must fit beside it.
func hidden(name, task string) string {
	return "." + strings.ToValidUTF8(name[:min(len(name), 180)], "") + ".export-" + task
}

// below finds the root that a path lies below.
func (d *Driver) below(name string) (root, rel string, ok bool) {
	for _, root := range d.roots {
		if rel, err := filepath.Rel(root, name); err == nil && filepath.IsLocal(rel) && rel != "." {
			return root, rel, true
		}
	}
	return "", "", false
}

// openFolder opens a folder below a root, which no symbolic link leads out of.
func openFolder(root, rel string) (*os.Root, error) {
	r, err := os.OpenRoot(root)
	if err != nil || rel == "." {
		return r, err
	}
	defer r.Close()
	return r.OpenRoot(rel)
}

// pathOf is the absolute path that a destination names.
func pathOf(raw string) (string, error) {
	name := raw
	if !strings.HasPrefix(raw, "/") {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "file" || u.Host != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
			return "", invalid("a file is named file:///ABSOLUTE/PATH, or by its path")
		}
		name = u.Path
	}
	base := path.Base(name)
	switch {
	case !strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || base == "." || base == "..":
		return "", invalid("it names no file")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", invalid("its name holds control characters")
	case len(base) > 255 || len(name) > 4096:
		return "", invalid("its name is too long")
	}
	return path.Clean(name), nil
}

func invalid(what string) error {
	return errcode.New(errcode.DestinationInvalid, "the destination is refused: %s", what).
		With(errcode.Evidence{Structure: "request", Field: "destination.url"})
}

// fileError gives a failure its code. Causes that are the server's business alone stay
// with the error for the log.
func fileError(err error, doing, name string) error {
	var errno interface{ Is(error) bool }
	switch {
	case err == nil:
		return nil
	case errors.Is(err, iofs.ErrExist):
		return exist(name)
	case errors.Is(err, iofs.ErrNotExist):
		return errcode.Wrap(err, errcode.DestinationMissing, "there is no folder for %s", errcode.Shown(name))
	case errors.Is(err, iofs.ErrPermission):
		return errcode.Wrap(err, errcode.DestinationAuth, "%s %s: permission denied", doing, errcode.Shown(name))
	case noSpace(err):
		return errcode.Wrap(err, errcode.NoSpace, "%s %s: no space left", doing, errcode.Shown(name))
	case !errors.As(err, &errno):
		// os.Root's refusal to leave is the one error that has no number.
		return errcode.Wrap(err, errcode.DestinationOutside, "%s leads out of the folder that may be written to", errcode.Shown(name))
	}
	return errcode.Wrap(err, errcode.DestinationUnreachable, "%s %s", doing, errcode.Shown(name))
}

func exist(name string) error {
	return errcode.New(errcode.DestinationExist, "%s exists", errcode.Shown(name)).
		With(errcode.Evidence{Structure: "destination", Field: "path", Value: errcode.Shown(name)})
}
