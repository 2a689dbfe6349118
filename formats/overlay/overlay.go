package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"ingest/formats"
)

// A Run is a run of a layer's guest bytes that are in one state, or that are
// all the parent's.
type Run struct {
	formats.Extent
	// Transparent is true if the parent's bytes stand here. State, Compressed
	// and HostOff then say nothing.
	Transparent bool
}

// A Layer is what a child stores of its disk. All methods are safe for
// concurrent use.
type Layer interface {
	// ReadAt reads bytes that are present and stored as data. It is asked for
	// none that RunAt calls transparent, zero or a hole, nor for any behind
	// Size.
	io.ReaderAt
	// Close lets go of what the layer itself holds.
	Close() error
	// Size returns the virtual size in bytes.
	Size() int64
	// RunAt returns a run that holds off, 0 <= off < Size. It may begin before
	// off and need not be as long as possible, but ends at Size at the latest.
	RunAt(off int64) (Run, error)
	// Info returns the facts of the layer's own header. Its HolesKnown is
	// about what is present.
	Info() formats.Info
}

// disk is a child over its parent.
type disk struct {
	parent formats.Disk
	child  Layer
	size   int64
}

var (
	_ formats.Disk      = (*disk)(nil)
	_ formats.Validator = (*disk)(nil)
)

// New returns the disk that child shows over parent. Its virtual size is the
// child's: a longer parent is cut, and behind the end of a shorter one what is
// transparent is a hole. It checks both if they are formats.Validators, and
// closes both. Its extents have no host offsets, since they lie in several
// files.
func New(parent formats.Disk, child Layer) formats.Disk {
	return &disk{parent, child, child.Size()}
}

func (d *disk) Close() error { return errors.Join(d.child.Close(), d.parent.Close()) }

func (d *disk) Size() int64 { return d.size }

// Info returns the child's facts, with the file size and the findings of both.
func (d *disk) Info() formats.Info {
	info, under := d.child.Info(), d.parent.Info()
	info.FileSize += under.FileSize
	info.HolesKnown = info.HolesKnown && under.HolesKnown
	info.Findings = slices.Concat(info.Findings, under.Findings)
	if info.Unreadable == nil {
		info.Unreadable = under.Unreadable
	}
	return info
}

// Validate checks the child and then the parent.
func (d *disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	var findings []formats.Finding
	for _, part := range []any{d.child, d.parent} {
		v, ok := part.(formats.Validator)
		if !ok {
			continue
		}
		more, err := v.Validate(ctx)
		findings = append(findings, more...)
		if err != nil {
			return findings, err
		}
	}
	return findings, nil
}

func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("overlay: extent at %d of a disk of %d bytes", off, d.size)
	}
	run, err := d.runAt(off)
	if err != nil {
		return formats.Extent{}, err
	}
	run.HostOff = -1
	if !run.Transparent {
		return run.Extent, nil
	}
	under := d.parent.Size()
	if off >= under {
		start := max(run.Off, under)
		return formats.Extent{Off: start, Len: run.End() - start, State: formats.Hole, HostOff: -1}, nil
	}
	e, err := d.parent.ExtentAt(off)
	if err != nil {
		return formats.Extent{}, err
	}
	start, end := max(run.Off, e.Off), min(run.End(), e.End(), under)
	e.Off, e.Len, e.HostOff = start, end-start, -1
	return e, nil
}

// runAt asks the child and proves that the answer holds off.
func (d *disk) runAt(off int64) (Run, error) {
	run, err := d.child.RunAt(off)
	if err != nil {
		return Run{}, err
	}
	if run.Off < 0 || run.Off > off || run.Len <= off-run.Off || run.Len > d.size-run.Off {
		return Run{}, fmt.Errorf("overlay: run at %d: the layer answered [%d, +%d)", off, run.Off, run.Len)
	}
	return run, nil
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("overlay: read at a negative offset")
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= d.size {
		return 0, io.EOF
	}
	q := p[:min(int64(len(p)), d.size-off)]
	for n := 0; n < len(q); {
		k, err := d.readRun(q[n:], off+int64(n))
		if n += k; err != nil {
			return n, err
		}
	}
	if len(q) < len(p) {
		return len(q), io.EOF
	}
	return len(q), nil
}

// readRun fills p, or the part of it that the run at off covers, and returns
// how far it came.
func (d *disk) readRun(p []byte, off int64) (int, error) {
	run, err := d.runAt(off)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), run.End()-off)]
	switch {
	case run.Transparent:
		n := min(int64(len(p)), max(0, d.parent.Size()-off))
		clear(p[n:])
		if err := readFull(d.parent, p[:n], off); err != nil {
			return 0, err
		}
	case run.State == formats.Data:
		if err := readFull(d.child, p, off); err != nil {
			return 0, err
		}
	default:
		clear(p)
	}
	return len(p), nil
}

// readFull fills p, which lies inside the disk that r is.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("read %d bytes at guest offset %d: %w", len(p), off, io.ErrUnexpectedEOF)
	default:
		return err
	}
}
