package staged

import (
	"context"
	"path/filepath"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/file"
)

// Name is the driver's name in a pin.
const Name = "staged"

// FileName is that of an upload in its folder, which is called by its id.
const FileName = "upload"

// A Driver opens staged uploads.
type Driver struct {
	dir   string
	files *file.Driver
}

var _ sources.Driver = (*Driver)(nil)

// New returns a driver that reads in a staging folder.
func New(dir string) *Driver { return &Driver{dir: dir, files: file.New([]string{dir})} }

// Name returns "staged".
func (d *Driver) Name() string { return Name }

// Schemes returns the one scheme.
func (d *Driver) Schemes() []string { return []string{contract.StagedScheme} }

// Open opens an upload and pins it. errcode.SourceNotFound says that it is not here.
func (d *Driver) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	_, id, ok := contract.ParseStagedURL(ref.URL)
	if !ok {
		return nil, errcode.New(errcode.SourceURLInvalid, "the URL names no staged upload")
	}
	src, err := d.files.Open(ctx, sources.Ref{URL: filepath.Join(d.dir, id, FileName)}, pin)
	if err != nil {
		return nil, err
	}
	return source{src, ref.URL}, nil
}

// A source is a file that goes by the upload's URL: where it lies is nobody's business.
type source struct {
	sources.Source
	url string
}

// Pin returns the version of the upload.
func (s source) Pin() sources.Pin {
	p := s.Source.Pin()
	p.Driver, p.URL = Name, s.url
	return p
}

// Check compares the upload with its pin.
func (s source) Check(ctx context.Context) error {
	if c, ok := s.Source.(interface{ Check(context.Context) error }); ok {
		return c.Check(ctx)
	}
	return nil
}
