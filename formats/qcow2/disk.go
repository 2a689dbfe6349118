package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A clusterReader is the way to the stored bytes: the seam at which it can be
// changed without touching the tables.
type clusterReader interface {
	// ReadClusters fills p with the guest bytes from e.Off on, at most e.Len.
	// The run e is data, and the table entries of its clusters have been
	// checked. It may reach over several L2 tables.
	ReadClusters(p []byte, e formats.Extent) error
}

// A Disk is the guest view of a qcow2 image.
type Disk struct {
	r    io.ReaderAt
	h    *header
	m    mapper
	lim  formats.Limits
	size int64 // virtual size, bytes
	info formats.Info

	l1       []uint64 // checked entries, as many as the virtual size needs
	cache    *tableCache
	clusters clusterReader
}

var (
	_ formats.Disk      = (*Disk)(nil)
	_ formats.Validator = (*Disk)(nil)
)

// open parses and checks the header and the L1 table. The caller sets clusters.
func open(r io.ReaderAt, size int64, lim formats.Limits) (*Disk, error) {
	if size > math.MaxInt64-1<<maxClusterBits {
		return nil, errcode.New(errcode.ParserLimit, "file of %d bytes", size).With(evidence("file", "size", 0, size))
	}
	h, err := readHeader(r, size, lim)
	if err != nil {
		return nil, err
	}
	x, err := readExtensions(r, size, h)
	if err != nil {
		return nil, err
	}
	d := &Disk{r: r, h: h, lim: lim, size: int64(h.size),
		m: mapper{geometry: newGeometry(h.clusterBits, h.extendedL2()), version: h.version, fileSize: size}}
	d.info = formats.Info{
		Format:      formats.QCOW2,
		Subformat:   fmt.Sprintf("v%d", h.version),
		VirtualSize: d.size,
		FileSize:    size,
		BlockSize:   d.m.cluster,
		HolesKnown:  true,
		Names:       x.names(),
		Findings:    remarks(h),
		Unreadable:  refusal(h, x),
	}
	if d.info.Unreadable != nil {
		return d, nil
	}
	if err := h.checkTables(d.m.geometry, size, lim); err != nil {
		return nil, err
	}
	if err := d.readL1(); err != nil {
		return nil, err
	}
	d.cache = newTableCache(lim.CacheBytes-clusterShare(lim), d.m.cluster, int64(len(d.l1)), d.loadTable)
	d.info.Compression = d.compression()
	return d, nil
}

// readL1 reads the part of the L1 table that the virtual size needs and checks
// every entry.
func (d *Disk) readL1() error {
	need := d.m.l1Need(d.size)
	raw, err := binio.ReadRange(d.r, d.m.fileSize, int64(d.h.l1Off), need*8, d.lim.TableBytes)
	if err != nil {
		if need*8 > d.lim.TableBytes {
			return errcode.Wrap(err, errcode.ParserLimit, "L1 table of %d bytes", need*8).
				With(limited(evidence("L1 table", "length", int64(d.h.l1Off), need*8), d.lim.TableBytes))
		}
		return readError(err, "read L1 table", int64(d.h.l1Off))
	}
	d.l1 = make([]uint64, need)
	for i := range d.l1 {
		e := binary.BigEndian.Uint64(raw[8*i:])
		if _, f := d.m.l2Table(e); f != nil {
			return entryFault(f, "L1 table", int64(i), int64(d.h.l1Off)+int64(8*i), e)
		}
		d.l1[i] = e
	}
	return nil
}

// compression tells how clusters are compressed, as far as that is cheap to
// know: zstd by the header, deflate if the first L2 table or the last has any
// compressed cluster. A table that cannot be read says so when it is used.
func (d *Disk) compression() string {
	if d.h.compression == compressZstd {
		return "zstd"
	}
	has := func(e uint64) bool { return e&entryOffset != 0 }
	first := slices.IndexFunc(d.l1, has)
	if first < 0 {
		return ""
	}
	last := len(d.l1) - 1
	for !has(d.l1[last]) {
		last--
	}
	if d.packs(int64(first)) || last > first && d.packs(int64(last)) {
		return "deflate"
	}
	return ""
}

// packs reports whether the L2 table with the given L1 index has a compressed
// cluster.
func (d *Disk) packs(index int64) bool {
	raw, err := d.table(index)
	for at := int64(0); err == nil && at < d.m.cluster; at += d.m.entryBytes() {
		if raw[at]&(entryCompressed>>56) != 0 {
			return true
		}
	}
	return false
}

// Size returns the virtual size in bytes.
func (d *Disk) Size() int64 { return d.size }

// Info returns the facts of the header.
func (d *Disk) Info() formats.Info { return d.info }

// Close lets go of nothing: the tables go with the disk.
func (d *Disk) Close() error { return nil }

// ReadAt reads guest bytes. Holes and zero clusters are filled in here; the
// clusterReader is asked for stored clusters only, after their entries have
// passed.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if d.info.Unreadable != nil {
		return 0, d.info.Unreadable
	}
	if off < 0 {
		return 0, errcode.New(errcode.BadRequest, "read at negative guest offset %d", off)
	}
	if off >= d.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), d.size-off))
	n := 0
	for n < want {
		e, err := d.stretch(off+int64(n), off+int64(want))
		if err != nil {
			return n, err
		}
		q := p[n : n+int(min(e.Len, int64(want-n)))]
		if e.State != formats.Data {
			clear(q)
		} else if err := d.clusters.ReadClusters(q, e); err != nil {
			return n, err
		}
		n += len(q)
	}
	if want < len(p) {
		return n, io.EOF
	}
	return n, nil
}
