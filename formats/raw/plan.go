package raw

import (
	"context"
	"errors"
	"io"
	"iter"

	"ingest/formats"
)

// Planner lays a disk out as a raw file. It is a stateless value.
type Planner struct{}

var _ formats.Planner = Planner{}

// Plan returns the raw file of src, whose size is the virtual size unchanged.
func (Planner) Plan(_ context.Context, src formats.Disk) (formats.Plan, error) {
	return plan{src}, nil
}

// plan is the guest view itself.
type plan struct{ src formats.Disk }

var _ formats.Plan = plan{}

func (p plan) Size() int64 { return p.src.Size() }

// Metadata yields nothing: a raw file holds guest data only.
func (p plan) Metadata() iter.Seq[formats.Range] { return func(func(formats.Range) bool) {} }

func (p plan) Summary() formats.Summary {
	return formats.Summary{Format: formats.Raw, FileSize: p.src.Size(), VirtualSize: p.src.Size()}
}

// Locate returns the guest offset itself: every byte is stored where it lies.
func (p plan) Locate(off int64) (hostOff, n int64) {
	if off < 0 || off >= p.src.Size() {
		return -1, 0
	}
	return off, p.src.Size() - off
}

// NextData returns the first extent of data at or after off.
func (p plan) NextData(off int64) (start, end int64, err error) {
	size := p.src.Size()
	for e, err := range formats.Extents(p.src, off, size) {
		if err != nil {
			return 0, 0, err
		}
		if e.State == formats.Data {
			return e.Off, e.End(), nil
		}
	}
	return size, size, nil
}

func (p plan) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("raw: read at a negative offset")
	}
	if len(b) == 0 {
		return 0, nil
	}
	if off >= p.src.Size() {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.src.Size()-off))
	if _, err := formats.ReadData(p.src, b[:n], off); err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
