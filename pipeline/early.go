package pipeline

import (
	"context"
	"errors"
	"io"
	"os"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/contract"
)

// A Refused is the error of a source that was refused while it was still being
// read, by its first bytes. It carries the report, which no later step makes.
type Refused struct {
	Report detect.Report
	Err    error
}

// Error returns the refusal's text.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap returns the refusal.
func (r *Refused) Unwrap() error { return r.Err }

// A look is one look at the first bytes of a file that is being staged, as soon
// as they are there. A nil look sees nothing.
type look struct {
	ctx    context.Context
	d      *detect.Detector
	stream detect.Stream
	done   bool
	found  formats.Name // by the magics of the head, once done; "" for none
}

// looking returns the look at an image's first file, of size bytes or -1. Its
// other files have no format of their own that could be judged. A layer that may
// be taken off is left to who does.
func (p *Pipeline) looking(ctx context.Context, size int64, f contract.FetchParams) *look {
	layers := []formats.Name{"gzip", "xz", "zstd", "bzip2", "zip", "tar", "ova", "docker"}
	if f.AsIs {
		layers = asIsLayers()
	}
	return &look{ctx: ctx, d: p.detect(), stream: detect.Stream{
		Size: size, Declared: formats.Name(f.Source.Format), Limits: p.Limits, Members: len(f.Source.Members) > 0, Layers: layers,
	}}
}

// within returns the look at what is within the file's layer, whose length nobody
// knows yet.
func (l *look) within() *look {
	if l == nil {
		return nil
	}
	inner := *l
	inner.stream.Size = -1
	return &inner
}

// at looks once off bytes of the file are staged and decide anything. It returns
// a Refused if the rest need not be read.
func (l *look) at(f *os.File, off int64) error {
	if l == nil || l.done || off < detect.HeadBytes {
		return nil
	}
	l.done = true
	head := make([]byte, detect.HeadBytes)
	// Zeros at the end are not written: the file may be shorter.
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rep, err := l.d.Head(l.ctx, head, l.stream)
	if err != nil && (l.stream.Members || !boxed(rep, err)) {
		return &Refused{Report: rep, Err: err}
	}
	l.found = rep.DiskFormat
	return nil
}

// legs returns where to stop on the way from off to the end of a file of size
// bytes: once where the look is taken, so that nothing behind it is asked for
// before, and at the end.
func (l *look) legs(off, size int64) []int64 {
	const first = (detect.HeadBytes + transfer.UnitBytes - 1) / transfer.UnitBytes * transfer.UnitBytes
	if l == nil || off >= first || size <= first {
		return []int64{size}
	}
	return []int64{first, size}
}
