package gce

import (
	"context"
	"fmt"

	"github.com/klauspost/compress/flate"

	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A deflater makes runs of deflate blocks that stand alone: no run refers to bytes
// before its own, and each ends with an empty stored block, at a byte. Runs one
// behind the other, and lastBlock, are one stream (RFC 1951, section 3.2.4).
type deflater struct {
	level int
	flate *flate.Writer
	out   appender
}

// lastBlock is the empty final block that ends a stream.
const lastBlock = "\x03\x00"

// start begins a run whose bytes are appended to out.
func (d *deflater) start(out []byte) error {
	d.out = out
	if d.flate != nil {
		d.flate.Reset(&d.out)
		return nil
	}
	var err error
	d.flate, err = flate.NewWriter(&d.out, d.level)
	return err
}

// end ends the run and returns what start was given with the run behind it.
func (d *deflater) end() ([]byte, error) {
	err := d.flate.Flush()
	out := d.out
	d.out = nil
	return out, err
}

// run appends the run of p to out.
func (d *deflater) run(out, p []byte) ([]byte, error) {
	if err := d.start(out); err != nil {
		return nil, err
	}
	if _, err := d.flate.Write(p); err != nil {
		return nil, err
	}
	return d.end()
}

// An appender keeps what is written to it.
type appender []byte

// Write never fails.
func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// A workshop is what the workers do to units of data, with one deflater for each
// worker. The run of a unit's stored bytes is left in the unit's Buf.
type workshop struct {
	m     sparseMap
	tools []deflater
}

func newWorkshop(m sparseMap, level, workers int) *workshop {
	w := &workshop{m: m, tools: make([]deflater, workers)}
	for i := range w.tools {
		w.tools[i].level = level
	}
	return w
}

// unit works on one unit of data.
func (w *workshop) unit(_ context.Context, worker int, u *transfer.Unit) error {
	d := &w.tools[worker]
	if err := d.start(u.Buf[:0]); err != nil {
		return err
	}
	at := u.Off
	for r := range w.m.within(u.Off, u.Off+u.Len) {
		if err := hole(u, at, r.off); err != nil {
			return err
		}
		if _, err := d.flate.Write(u.Data[r.off-u.Off : r.end-u.Off]); err != nil {
			return err
		}
		at = r.end
	}
	if err := hole(u, at, u.Off+u.Len); err != nil {
		return err
	}
	var err error
	u.Buf, err = d.end()
	return err
}

// hole makes sure that what the map leaves out is zeros. The map was made before
// the bytes were read, so that a source that somebody writes to shows here.
func hole(u *transfer.Unit, off, end int64) error {
	if binio.IsZero(u.Data[off-u.Off : end-u.Off]) {
		return nil
	}
	return errcode.New(errcode.SourceChanged, "there are data where the source had a hole before").
		With(errcode.Evidence{Structure: "source", Field: "guest bytes", Value: fmt.Sprintf("%d to %d", off, end)})
}
