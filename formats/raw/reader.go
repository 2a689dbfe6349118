package raw

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"ingest/formats"
	"ingest/internal/errcode"
)

// SectorBytes is the smallest unit that a disk controller addresses.
const SectorBytes = 512

// Format reads raw disks.
type Format struct{}

var _ formats.Format = Format{}

// Name returns formats.Raw.
func (Format) Name() formats.Name { return formats.Raw }

// Match never claims a file: every file is a raw disk.
func (Format) Match(head, tail []byte, size int64) formats.Match { return formats.Match{} }

// Open returns New's disk if the size is within the limits and not zero.
func (Format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	ev := errcode.Evidence{Format: string(formats.Raw), Field: "size", Value: strconv.FormatInt(size, 10)}
	if size <= 0 {
		return nil, errcode.New(errcode.Empty, "a raw disk of %d bytes", size).With(ev)
	}
	if size > lim.VirtualSize {
		ev.Limit = strconv.FormatInt(lim.VirtualSize, 10)
		return nil, errcode.New(errcode.VirtualSizeTooLarge, "virtual size %d is above the limit of %d", size, lim.VirtualSize).With(ev)
	}
	return New(r, size), nil
}

// disk is a raw disk over a reader.
type disk struct {
	r     io.ReaderAt
	size  int64
	holes formats.DataFinder // nil if the reader does not know its holes
}

var (
	_ formats.Disk       = (*disk)(nil)
	_ formats.DataFinder = (*disk)(nil)
)

// New returns the first size bytes of r as a disk. It finds holes if r is a
// formats.DataFinder. A size that is not a multiple of 512 is allowed and gets
// a finding.
func New(r io.ReaderAt, size int64) formats.Disk {
	d := &disk{r: r, size: size}
	d.holes, _ = r.(formats.DataFinder)
	return d
}

func (d *disk) Close() error { return nil }

func (d *disk) Size() int64 { return d.size }

func (d *disk) Info() formats.Info {
	info := formats.Info{Format: formats.Raw, VirtualSize: d.size, FileSize: d.size, HolesKnown: d.holes != nil}
	if d.size%SectorBytes != 0 {
		info.Findings = append(info.Findings, formats.Note(errcode.SizeUnaligned, formats.SeverityWarning,
			"the disk is not a whole number of sectors; its last sector is padded with zeros where the target format needs whole ones",
			errcode.Evidence{Format: string(formats.Raw), Field: "size", Value: strconv.FormatInt(d.size, 10), Limit: "a multiple of 512"}))
	}
	return info
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("raw: read at a negative offset")
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= d.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), d.size-off)]
	n, err := d.r.ReadAt(want, off)
	_, coded := errcode.As(err)
	switch {
	case n == len(want) && n == len(p):
		return n, nil
	case n == len(want):
		return n, io.EOF
	case !coded && (err == nil || errors.Is(err, io.EOF)):
		return n, errcode.Wrap(io.ErrUnexpectedEOF, errcode.Truncated, "the file ends at %d, within the disk of %d bytes", off+int64(n), d.size).
			With(errcode.Evidence{Format: string(formats.Raw), Offset: errcode.At(off + int64(n))})
	default:
		return n, err
	}
}

func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("raw: extent at %d of a disk of %d bytes", off, d.size)
	}
	if d.holes == nil {
		return formats.Extent{Len: d.size, State: formats.Data}, nil
	}
	start, end, err := d.NextData(off)
	if err != nil {
		return formats.Extent{}, err
	}
	if start > off {
		return formats.Extent{Off: off, Len: start - off, State: formats.Hole, HostOff: -1}, nil
	}
	return formats.Extent{Off: off, Len: end - off, State: formats.Data, HostOff: off}, nil
}

// NextData returns the first run of data at or after off, clipped to the disk.
// The whole rest is data if the reader does not know its holes.
func (d *disk) NextData(off int64) (start, end int64, err error) {
	if off >= d.size {
		return d.size, d.size, nil
	}
	if d.holes == nil {
		return off, d.size, nil
	}
	start, end, err = d.holes.NextData(off)
	if err != nil {
		return 0, 0, err
	}
	if start >= end || start >= d.size {
		return d.size, d.size, nil
	}
	return max(start, off), min(end, d.size), nil
}
