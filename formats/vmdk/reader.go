package vmdk

import (
	"fmt"
	"io"
	"sync"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// disk is the guest view of a sparse extent file.
type disk struct {
	r        io.ReaderAt
	fileSize int64
	size     int64 // virtual size, bytes
	grain    int64 // bytes
	gtes     int64 // entries in a grain table
	info     formats.Info
	lim      formats.Limits

	compressed bool
	zeroGrain  bool  // a GTE of 1 is a grain of zeros
	metaEnd    int64 // host offset behind the descriptor; no grain lies before
	footer     bool  // the last three sectors are a footer
	gdOff      int64 // host offset of the grain directory

	directory []byte // entries as in the file
	cache     *tableCache
	inflaters sync.Pool // of *inflater
}

var (
	_ formats.Disk      = (*disk)(nil)
	_ formats.Validator = (*disk)(nil)
)

// newDisk opens the tables of a sparse extent. desc is nil if that is one piece
// of a disk of several files.
func newDisk(r io.ReaderAt, size int64, lim formats.Limits, h *header, desc *descriptor, footer bool) (*disk, error) {
	d := &disk{
		r: r, fileSize: size, lim: lim, footer: footer,
		size:       int64(h.capacity) * sectorBytes,
		grain:      int64(h.grainSize) * sectorBytes,
		gtes:       int64(h.numGTEsPerGT),
		compressed: h.flags&flagCompressed != 0,
		zeroGrain:  h.flags&flagZeroGrain != 0,
		metaEnd:    int64(1+h.descriptorSize) * sectorBytes,
	}
	tables := binio.DivCeil(binio.DivCeil(d.size, d.grain), d.gtes)
	var err error
	if d.directory, err = readDirectory(r, size, h, tables, lim); err != nil {
		return nil, err
	}
	d.gdOff = int64(h.gdOffset) * sectorBytes
	d.cache = newTableCache(tables, d.tableBytes(), lim.CacheBytes)
	d.inflaters.New = func() any { return &inflater{grain: -1} }
	d.info = d.describe(h, desc)
	return d, nil
}

// describe gathers what Info returns.
func (d *disk) describe(h *header, desc *descriptor) formats.Info {
	info := formats.Info{
		Format: formats.VMDK, Subformat: monolithicSparse,
		VirtualSize: d.size, FileSize: d.fileSize, BlockSize: d.grain, HolesKnown: true,
	}
	if d.compressed {
		info.Subformat, info.Compression = streamOptimized, "deflate"
	}
	note := func(code errcode.Code, field string, off int64, value any, message string) {
		info.Findings = append(info.Findings, formats.Note(code, formats.SeverityWarning, message, errcode.Evidence{
			Format: string(formats.VMDK), Field: field, Offset: errcode.At(off), Value: fmt.Sprint(value),
		}))
	}
	if h.uncleanShutdown != 0 {
		note(errcode.VMDKHeader, "uncleanShutdown", 72, h.uncleanShutdown, "the disk was not closed by the program that wrote it last")
	}
	if desc == nil {
		return info
	}
	if n := desc.extents[0].sectors; n != h.capacity {
		note(errcode.VMDKDescriptor, "extent", sectorBytes, n, fmt.Sprintf("the descriptor says %d sectors and the header %d; the header counts", n, h.capacity))
	}
	if (desc.createType == streamOptimized) != d.compressed {
		note(errcode.VMDKDescriptor, "createType", sectorBytes, clip(desc.createType), "createType contradicts how the grains are stored")
	}
	return info
}

func (d *disk) Close() error { return nil }

func (d *disk) Size() int64 { return d.size }

func (d *disk) Info() formats.Info { return d.info }

func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("vmdk: extent at %d of a disk of %d bytes", off, d.size)
	}
	return d.run(off, d.size)
}

// run returns the run of one state from the begin of off's grain on, until a
// grain that reaches end, the end of its grain table, or the end of the
// directory's empty entries.
func (d *disk) run(off, end int64) (formats.Extent, error) {
	span := d.grain * d.gtes
	i := off / span
	table, err := d.table(i)
	if err != nil {
		return formats.Extent{}, err
	}
	if table == nil {
		j := i + 1
		for j*span < end && d.gde(j) == 0 {
			j++
		}
		return formats.Extent{Off: i * span, Len: min(j*span, d.size) - i*span, State: formats.Hole, HostOff: -1}, nil
	}
	g := off % span / d.grain
	e := formats.Extent{Off: i*span + g*d.grain, HostOff: -1}
	first := gte(table, g)
	e.State, e.Compressed = d.state(first)
	plain := e.State == formats.Data && !e.Compressed
	if plain {
		e.HostOff = first * sectorBytes
	}
	last := g + 1
	for ; last < d.gtes && i*span+last*d.grain < end; last++ {
		next := gte(table, last)
		if s, _ := d.state(next); s != e.State {
			break
		}
		if plain && next*sectorBytes != e.HostOff+(last-g)*d.grain {
			break
		}
	}
	e.Len = min(i*span+last*d.grain, d.size) - e.Off
	return e, nil
}

// state returns what a grain table entry says about its grain.
func (d *disk) state(entry int64) (s formats.State, compressed bool) {
	switch {
	case entry == 0:
		return formats.Hole, false
	case entry == 1 && d.zeroGrain:
		return formats.Zero, false
	default:
		return formats.Data, d.compressed
	}
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return formats.ReadRuns(p, off, d.size, d.readRun)
}

// readRun reads at most the run that holds off and returns how far it came.
func (d *disk) readRun(p []byte, off int64) (int, error) {
	e, err := d.run(off, off+int64(len(p)))
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), e.End()-off)]
	switch {
	case e.State != formats.Data:
		clear(p)
		return len(p), nil
	case e.Compressed:
		return d.readGrains(p, off)
	default:
		return d.readPlain(p, off, e.HostOff+off-e.Off)
	}
}

// readGrains reads a run of compressed grains.
func (d *disk) readGrains(p []byte, off int64) (int, error) {
	n := int64(0)
	for n < int64(len(p)) {
		k := min(int64(len(p))-n, d.grain-(off+n)%d.grain)
		if err := d.readCompressed(p[n:n+k], off+n); err != nil {
			return int(n), err
		}
		n += k
	}
	return int(n), nil
}

// readPlain reads bytes that are stored in one piece at hostOff.
func (d *disk) readPlain(p []byte, off, hostOff int64) (int, error) {
	if err := d.checkGrain(off/d.grain, hostOff-off%d.grain); err != nil {
		return 0, err
	}
	if hostOff+int64(len(p)) > d.fileSize {
		return 0, d.pastEnd(off/d.grain, hostOff)
	}
	if err := binio.ReadFull(d.r, p, hostOff); err != nil {
		return 0, grainPlace(off/d.grain, hostOff).unread(err)
	}
	return len(p), nil
}

// checkGrain refuses a grain that would show the header or the descriptor to
// the guest.
func (d *disk) checkGrain(grain, hostOff int64) error {
	if hostOff >= d.metaEnd {
		return nil
	}
	return grainPlace(grain, hostOff).refuse(errcode.AliasedBlocks, hostOff/sectorBytes, fmt.Sprintf("%d or more", d.metaEnd/sectorBytes),
		"grain %d lies in the header or descriptor", grain)
}

// pastEnd is the error of a grain that the file does not hold whole.
func (d *disk) pastEnd(grain, hostOff int64) error {
	return grainPlace(grain, hostOff).refuse(errcode.Truncated, hostOff, fmt.Sprintf("%d bytes", d.fileSize),
		"grain %d passes the end of the file", grain)
}

func grainPlace(grain, hostOff int64) place {
	return place{fmt.Sprintf("grain %d", grain), "", hostOff}
}
