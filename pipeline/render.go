package pipeline

import (
	"context"
	"errors"
	"io"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
)

// A Rendering is stored bytes as another format: a file that nobody has written. Of what
// is laid out from the disk's extents alone, any range can be computed (WriteRange); what
// compresses is made from its begin to its end (Stream).
type Rendering struct {
	p       *Pipeline
	ctx     context.Context
	plan    formats.Plan    // nil if the file is made by
	encoder formats.Encoder // nil if it is computed by
	disk    formats.Disk
	stored  *storedReader
	target  contract.TargetSpec
}

// Render opens an image's stored bytes, which are of a format, as another one. The
// context ends all reads. The caller closes the Rendering.
func (p *Pipeline) Render(ctx context.Context, from []contract.Stored, size int64, format string, t contract.TargetSpec) (*Rendering, error) {
	r, err := p.openStored(ctx, from, size)
	if err != nil {
		return nil, err
	}
	out := &Rendering{p: p, ctx: ctx, stored: r}
	if err := out.open(ctx, p, size, format, t); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

func (r *Rendering) open(ctx context.Context, p *Pipeline, size int64, format string, t contract.TargetSpec) error {
	rep, disk, err := p.detect().Detect(ctx, r.stored.readerAt(), size, detect.Options{Declared: formats.Name(format), Limits: p.Limits, Uncounted: true})
	if err != nil {
		return err
	}
	r.disk = disk
	if err := disk.Info().Unreadable; err != nil {
		return err
	}
	if r.target, err = p.Target(sourceName(rep), t); err != nil {
		return err
	}
	if err := p.fits(r.target, disk.Size()); err != nil {
		return err
	}
	e := p.engine()
	// Several clients at once are sent what is made for them.
	e.Memory = aheadMemory(e.Memory)
	m, err := writerOf(r.target, e)
	if err != nil {
		return err
	}
	// Also of a disk that does not know its holes: ranges, and bytes that come at once,
	// are worth more to a client than the zeros that an encoder would find.
	if m.Planner != nil {
		r.plan, err = m.Planner.Plan(ctx, disk)
		return err
	}
	r.encoder = m.Encoder
	return nil
}

// Size is the length of the file, bytes; -1 for one that only Stream makes.
func (r *Rendering) Size() int64 {
	if r.plan == nil {
		return -1
	}
	return r.plan.Size()
}

// Format is the disk format that the file is of.
func (r *Rendering) Format() string { return r.target.StoredAs() }

// renderBuffer is how much of a rendering is in memory while it is read, bytes.
const renderBuffer = 1 << 20

// WriteRange writes n bytes from off, of a file that has a Size.
func (r *Rendering) WriteRange(w io.Writer, off, n int64) (int64, error) {
	buf := make([]byte, renderBuffer)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(ended{r.ctx, r.plan}, off, n)}, buf)
}

// ended ends reads with their context.
type ended struct {
	ctx context.Context
	r   io.ReaderAt
}

func (e ended) ReadAt(p []byte, off int64) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	return e.r.ReadAt(p, off)
}

// Close lets go of the stored bytes.
func (r *Rendering) Close() error {
	var err error
	if r.disk != nil {
		err = r.disk.Close()
	}
	return errors.Join(err, r.stored.Close())
}
