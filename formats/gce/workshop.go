package gce

import (
	"context"
	"fmt"

	"github.com/klauspost/compress/flate"

	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/deflate"
	"ingest/internal/errcode"
)

// A deflater makes runs of deflate blocks that stand alone: no run refers to bytes
// before its own, and each ends with an empty stored block, at a byte. Runs one
// behind the other, and lastBlock, are one stream (RFC 1951, section 3.2.4).
type deflater struct {
	level int
	own   *deflate.Encoder
	flate *flate.Writer // for levels that look longer for matches than own does
	out   appender
	plain []byte // a unit's stored bytes, if they are not in one piece
}

// lastBlock is the empty final block that ends a stream.
const lastBlock = "\x03\x00"

// run appends the run of p to out.
func (d *deflater) run(out, p []byte) ([]byte, error) {
	if effort, ok := deflate.LevelEffort(d.level); ok {
		if d.own == nil {
			d.own = deflate.New(deflate.MaxWindow, effort)
		}
		return d.own.Run(out, p), nil
	}
	d.out = out
	if d.flate == nil {
		var err error
		if d.flate, err = flate.NewWriter(&d.out, d.level); err != nil {
			return nil, err
		}
	} else {
		d.flate.Reset(&d.out)
	}
	if _, err := d.flate.Write(p); err != nil {
		return nil, err
	}
	err := d.flate.Flush()
	out, d.out = d.out, nil
	return out, err
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
	d.plain = d.plain[:0]
	var only []byte // the unit, if all of it is stored
	at := u.Off
	for r := range w.m.within(u.Off, u.Off+u.Len) {
		if err := hole(u, at, r.off); err != nil {
			return err
		}
		if at = r.end; r.off == u.Off && r.end == u.Off+u.Len {
			only = u.Data
			break
		}
		d.plain = append(d.plain, u.Data[r.off-u.Off:r.end-u.Off]...)
	}
	if err := hole(u, at, u.Off+u.Len); err != nil {
		return err
	}
	if only == nil {
		only = d.plain
	}
	var err error
	u.Buf, err = d.run(u.Buf[:0], only)
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
