package vmdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"ingest/formats"
)

// set is the guest view of a disk of several extent files.
type set struct {
	size   int64   // virtual size, bytes
	pieces []piece // ascending, covering [0, size) without gaps
	info   formats.Info
}

// A piece is the part of a disk that one line of the descriptor stands for.
type piece struct {
	off  int64        // guest offset, bytes
	size int64        // bytes
	disk formats.Disk // of exactly size bytes; nil if all are zeros
}

var (
	_ formats.Disk      = (*set)(nil)
	_ formats.Validator = (*set)(nil)
)

func (s *set) Close() error { return nil }

func (s *set) Size() int64 { return s.size }

func (s *set) Info() formats.Info { return s.info }

// find returns the piece that holds off.
func (s *set) find(off int64) *piece {
	i := sort.Search(len(s.pieces), func(i int) bool { return s.pieces[i].off > off })
	return &s.pieces[i-1]
}

// ExtentAt answers without host offsets: they lie in several files.
func (s *set) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= s.size {
		return formats.Extent{}, fmt.Errorf("vmdk: extent at %d of a disk of %d bytes", off, s.size)
	}
	p := s.find(off)
	if p.disk == nil {
		return formats.Extent{Off: p.off, Len: p.size, State: formats.Zero, HostOff: -1}, nil
	}
	e, err := p.disk.ExtentAt(off - p.off)
	if err != nil {
		return formats.Extent{}, err
	}
	e.Off += p.off
	e.HostOff = -1
	return e, nil
}

func (s *set) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("vmdk: read at a negative offset")
	}
	if len(b) == 0 {
		return 0, nil
	}
	if off >= s.size {
		return 0, io.EOF
	}
	q := b[:min(int64(len(b)), s.size-off)]
	n := 0
	for n < len(q) {
		p := s.find(off + int64(n))
		at := off + int64(n) - p.off
		part := q[n:]
		part = part[:min(int64(len(part)), p.size-at)]
		if p.disk == nil {
			clear(part)
		} else if k, err := p.disk.ReadAt(part, at); k < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = fmt.Errorf("read %d bytes at guest offset %d: %w", len(part), off+int64(n), io.ErrUnexpectedEOF)
			}
			return n + k, err
		}
		n += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Validate checks every piece.
func (s *set) Validate(ctx context.Context) ([]formats.Finding, error) {
	for _, p := range s.pieces {
		v, ok := p.disk.(formats.Validator)
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return s.info.Findings, err
		}
		if _, err := v.Validate(ctx); err != nil {
			return s.info.Findings, err
		}
	}
	return slices.Clone(s.info.Findings), nil
}
