package file

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ingest/internal/errcode"
	"ingest/sources"
)

var _ sources.Lister = (*Driver)(nil)

// List lists the regular files of a folder below the first root that has it.
func (d *Driver) List(ctx context.Context, ref sources.Ref) ([]sources.Listed, error) {
	path, err := pathOf(ref.URL)
	if err != nil {
		return nil, err
	}
	folder, pattern := filepath.Split(path)
	var last error
	for _, root := range d.roots {
		rel := filepath.Clean(folder)
		if filepath.IsAbs(rel) {
			if rel, err = filepath.Rel(root, rel); err != nil {
				continue
			}
		}
		if !filepath.IsLocal(rel) {
			continue
		}
		out, err := listBelow(ctx, root, rel, pattern)
		if err == nil {
			for i := range out {
				out[i].URL = filepath.Join(folder, out[i].Name)
			}
			return out, nil
		}
		if said(err) > said(last) {
			last = err
		}
	}
	if last == nil {
		last = outside()
	}
	return nil, last
}

// listBelow lists the regular files of a folder that fit. Links that lead out of the root
// are refused when they are opened.
func listBelow(ctx context.Context, root, rel, pattern string) ([]sources.Listed, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.SourceNotFound, "a file root of the server cannot be opened")
	}
	defer r.Close()
	dir, err := r.Open(rel)
	if err != nil {
		return nil, openError(err)
	}
	defer dir.Close()
	var out []sources.Listed
	for seen := 0; ; {
		part, err := dir.ReadDir(256)
		for _, e := range part {
			if seen++; seen > sources.MaxListed {
				return nil, sources.TooManyListed()
			}
			if e.Type()&^fs.ModeSymlink != 0 || !sources.Fits(pattern, e.Name()) {
				continue
			}
			info, err := r.Stat(filepath.Join(rel, e.Name()))
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			out = append(out, sources.Listed{Name: e.Name(), Modified: info.ModTime()})
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, openError(err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}
