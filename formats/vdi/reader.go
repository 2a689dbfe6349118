package vdi

import (
	"fmt"
	"io"

	"ingest/formats"
	"ingest/formats/table"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// disk is an open image.
type disk struct {
	r         io.ReaderAt
	fileSize  int64
	size      int64 // virtual size, bytes
	block     int64 // bytes of data in a block
	extra     int64 // bytes before them
	data      int64 // host offset of the data area
	allocated int64 // places in the data area, as the header counts them
	bmap      *table.Table
	holes     formats.DataFinder // of a static image, if the reader knows its holes, else nil
	info      formats.Info
}

var (
	_ formats.Disk      = (*disk)(nil)
	_ formats.Validator = (*disk)(nil)
)

// newDisk returns the disk of a header that was checked.
func newDisk(r io.ReaderAt, size int64, h *header, lim formats.Limits) *disk {
	d := &disk{
		r: r, fileSize: size, size: int64(h.diskSize),
		block: int64(h.blockSize), extra: int64(h.blockExtra), data: int64(h.offData),
		allocated: int64(h.allocated), info: h.info(size),
	}
	d.bmap = newBmap(r, int64(h.offBmap), binio.DivCeil(d.size, d.block), lim.CacheBytes)
	if h.imageType == typeStatic {
		d.holes, _ = r.(formats.DataFinder)
	}
	return d
}

func (d *disk) Close() error { return nil }

func (d *disk) Size() int64 { return d.size }

func (d *disk) Info() formats.Info { return d.info }

// blockLen returns how many bytes of block i the virtual size covers.
func (d *disk) blockLen(i int64) int64 { return min(d.block, d.size-i*d.block) }

// hostOff returns where the data of the block in the given place begins. A
// place is a 32-bit number and a block less than 2^29 bytes with its extra.
func (d *disk) hostOff(at int64) int64 { return d.data + at*(d.block+d.extra) + d.extra }

func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("vdi: extent at %d of a disk of %d bytes", off, d.size)
	}
	e, err := d.run(off, d.size)
	if err != nil || e.State != formats.Data || d.holes == nil {
		return e, err
	}
	return d.split(e, off)
}

// split returns the part of an extent of data, from off on, that the file
// stores or that is a hole of it. In a static image every block has its place,
// and only the file tells which were ever written.
func (d *disk) split(e formats.Extent, off int64) (formats.Extent, error) {
	host, hostEnd := e.HostOff+off-e.Off, e.HostOff+e.Len
	start, end, err := d.holes.NextData(host)
	if err != nil {
		return formats.Extent{}, place{fmt.Sprintf("block %d", off/d.block), "", host}.unread(err)
	}
	if start >= end || start >= hostEnd {
		return formats.Extent{Off: off, Len: hostEnd - host, State: formats.Hole, HostOff: -1}, nil
	}
	if start > host {
		return formats.Extent{Off: off, Len: start - host, State: formats.Hole, HostOff: -1}, nil
	}
	return formats.Extent{Off: off, Len: min(end, hostEnd) - host, HostOff: host}, nil
}

// run returns the run of one state, in one piece of the file, from the begin of
// off's block on, until a block that reaches end or the end of the map's piece.
// Every block of data in it has been checked.
func (d *disk) run(off, end int64) (formats.Extent, error) {
	i := off / d.block
	p, err := d.bmap.Piece(i)
	if err != nil {
		return formats.Extent{}, err
	}
	first, last := p.Entry(i), i+1
	stop := min(p.End(), binio.DivCeil(end, d.block))
	e := formats.Extent{Off: i * d.block, HostOff: -1}
	switch {
	case first == entryHole || first == entryZero:
		if e.State = formats.Zero; first == entryHole {
			e.State = formats.Hole
		}
		last = p.SameUntil(last, stop, first)
	default:
		if err := d.checkBlock(i, first); err != nil {
			return formats.Extent{}, err
		}
		e.HostOff = d.hostOff(int64(first))
		if d.extra > 0 {
			break
		}
		for last < stop && int64(p.Entry(last)) == int64(first)+last-i && d.holds(last, p.Entry(last)) {
			last++
		}
	}
	e.Len = min(last*d.block, d.size) - e.Off
	return e, nil
}

// holds reports whether block i can be in the given place.
func (d *disk) holds(i int64, at uint32) bool {
	return int64(at) < d.allocated && d.hostOff(int64(at))+d.blockLen(i) <= d.fileSize
}

// checkBlock holds block i, which is in the given place, against the number of
// places and the file's end. The data area was proved to lie behind all
// metadata.
func (d *disk) checkBlock(i int64, at uint32) error {
	if d.holds(i, at) {
		return nil
	}
	if int64(at) >= d.allocated {
		return d.entryPlace(i).refuse(errcode.TableBounds, at, fmt.Sprintf("below %d", d.allocated), "block %d is in place %d of %d that are allocated", i, at, d.allocated)
	}
	return d.entryPlace(i).refuse(errcode.Truncated, at, fmt.Sprintf("%d bytes", d.fileSize),
		"block %d ends at %d, past the end of the file", i, d.hostOff(int64(at))+d.blockLen(i))
}

func (d *disk) entryPlace(i int64) place {
	return place{fmt.Sprintf("block map entry %d", i), "", d.bmap.Place(i)}
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return formats.ReadRuns(p, off, d.size, d.readRun)
}

// readRun reads at most the run that holds off and returns how many bytes it
// read.
func (d *disk) readRun(p []byte, off int64) (int, error) {
	e, err := d.run(off, off+int64(len(p)))
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), e.End()-off)]
	if e.State != formats.Data {
		clear(p)
		return len(p), nil
	}
	if err := binio.ReadFull(d.r, p, e.HostOff+off-e.Off); err != nil {
		return 0, place{fmt.Sprintf("block %d", off/d.block), "", e.HostOff}.unread(err)
	}
	return len(p), nil
}
