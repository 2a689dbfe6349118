package qcow2

import (
	"encoding/binary"
	"fmt"

	"ingest/formats"
	"ingest/internal/binio"
)

// ExtentAt returns the run that begins at off. It ends where the state, the
// compression or the contiguity in the file changes, or with its L2 table;
// guest ranges that have no L2 table are one hole.
func (d *Disk) ExtentAt(off int64) (formats.Extent, error) {
	if err := d.inDisk(off); err != nil {
		return formats.Extent{}, err
	}
	return d.run(off, d.size)
}

// run returns the run that begins at off, clipped to the virtual size. It stops
// looking once the run has reached end.
func (d *Disk) run(off, end int64) (formats.Extent, error) {
	index := off / d.m.span
	if d.l1[index]&entryOffset == 0 {
		return d.hole(off, end), nil
	}
	raw, err := d.table(index)
	if err != nil {
		return formats.Extent{}, err
	}
	stop := min(end, (index+1)*d.m.span)
	first, err := d.piece(raw, index, off)
	if err != nil {
		return formats.Extent{}, err
	}
	e := formats.Extent{Off: off, Len: first.len, State: first.state, Compressed: first.compressed, HostOff: first.host}
	for e.End() < stop {
		if e.State == formats.Hole && e.End()%d.m.cluster == 0 {
			if e.Len += d.empty(raw, e.End()); e.End() >= stop {
				break
			}
		}
		next, err := d.piece(raw, index, e.End())
		// A bad entry ends the run; it is reported when it is asked for.
		if err != nil || next.state != e.State || next.compressed != e.Compressed || !continues(e, next.host) {
			break
		}
		e.Len += next.len
	}
	e.Len = min(e.Len, d.size-off)
	return e, nil
}

// empty returns the guest bytes from off on, the begin of a cluster, whose
// entries are all zeros: most of a sparse image's are.
func (d *Disk) empty(raw []byte, off int64) int64 {
	at := off % d.m.span / d.m.cluster * d.m.entryBytes()
	n := at
	for n < int64(len(raw)) && binary.NativeEndian.Uint64(raw[n:]) == 0 {
		n += 8
	}
	return (n - at) / d.m.entryBytes() * d.m.cluster
}

// stretch returns the run that begins at off like run does, and follows data
// into the next L2 tables until end.
func (d *Disk) stretch(off, end int64) (formats.Extent, error) {
	e, err := d.run(off, end)
	for err == nil && e.State == formats.Data && e.End() < end && e.End()%d.m.span == 0 {
		next, err := d.run(e.End(), end)
		if err != nil || next.State != e.State || next.Compressed != e.Compressed || !continues(e, next.HostOff) {
			break
		}
		e.Len += next.Len
	}
	return e, err
}

// continues reports whether a piece at the host offset lies behind e.
func continues(e formats.Extent, host int64) bool {
	if e.HostOff < 0 || host < 0 {
		return e.HostOff == host
	}
	return e.HostOff+e.Len == host
}

// hole returns the hole from off over all L1 entries without a table.
func (d *Disk) hole(off, end int64) formats.Extent {
	i := off/d.m.span + 1
	for i*d.m.span < end && d.l1[i]&entryOffset == 0 {
		i++
	}
	return formats.Extent{Off: off, Len: min(i*d.m.span, d.size) - off, State: formats.Hole, HostOff: -1}
}

// piece returns the piece that begins at off, which lies under the given table.
func (d *Disk) piece(raw []byte, index, off int64) (piece, error) {
	c, err := d.mapping(raw, index, off)
	if err != nil {
		return piece{}, err
	}
	return d.m.pieceAt(c, off%d.m.cluster), nil
}

// mapping returns what the entry of the guest cluster at off says, which lies
// under the given table.
func (d *Disk) mapping(raw []byte, index, off int64) (mapping, error) {
	at := off % d.m.span / d.m.cluster * d.m.entryBytes()
	c, f := d.m.decode(raw[at : at+d.m.entryBytes()])
	if f != nil {
		return mapping{}, d.l2Fault(f, raw, index, at)
	}
	return c, nil
}

// l2Fault makes an error of a bad entry, at bytes into an L2 table.
func (d *Disk) l2Fault(f *fault, raw []byte, index, at int64) error {
	host := int64(d.l1[index]&entryOffset) + at
	return entryFault(f, fmt.Sprintf("L2 table %d", index), at/d.m.entryBytes(), host, binary.BigEndian.Uint64(raw[at:]))
}

// table returns the L2 table with the given L1 index, which has one.
func (d *Disk) table(index int64) ([]byte, error) { return d.cache.get(index) }

// loadTable reads an L2 table for the cache.
func (d *Disk) loadTable(index int64) ([]byte, error) {
	raw := make([]byte, d.m.cluster)
	if err := d.readMeta(raw, int64(d.l1[index]&entryOffset), fmt.Sprintf("L2 table %d", index)); err != nil {
		return nil, err
	}
	return raw, nil
}

// readMeta fills p from a host offset inside the file, with zeros for what the
// file's last cluster lacks. The caller has checked that p does not reach beyond
// that cluster.
func (d *Disk) readMeta(p []byte, off int64, name string) error {
	stored := p[:min(int64(len(p)), d.m.fileSize-off)]
	clear(p[len(stored):])
	if err := binio.ReadFull(d.r, stored, off); err != nil {
		return readError(err, "read "+name, off)
	}
	return nil
}
