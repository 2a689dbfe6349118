package qcow2

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Bounds that QEMU keeps for the snapshot table.
const (
	snapshotFixed    = 40 // bytes of an entry before its extra data
	maxSnapshotExtra = 1024
	snapshotTable    = "snapshot table"
)

// snapshots walks the snapshot table; section "Snapshots" of the specification.
// A table that passes its bounds, or names an L1 table that does, refuses the
// image: whoever keeps the file would have to read it. One that lies on
// something else only earns a warning, since snapshots are left behind.
func (v *validation) snapshots(ctx context.Context) ([]formats.Finding, error) {
	h := v.d.h
	if h.snapshots == 0 {
		return nil, nil
	}
	off := int64(h.snapshotsOff)
	in := bufio.NewReaderSize(io.NewSectionReader(v.d.r, off, v.d.m.fileSize-off), 16<<10)
	length := int64(0)
	for i := range h.snapshots {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n, err := v.snapshot(in, i, off+length)
		if err != nil {
			return nil, err
		}
		if length += n; length > v.d.lim.SnapshotBytes {
			return nil, errcode.New(errcode.TableBounds, "snapshot table of more than %d bytes", length).
				With(limited(evidence(snapshotTable, "length", off, length), v.d.lim.SnapshotBytes))
		}
	}
	if err := v.own(off, length, snapshotTable); err != nil {
		f := formats.FindingOf(err)
		f.Severity = formats.SeverityWarning
		return []formats.Finding{f}, nil
	}
	return nil, nil
}

// snapshot checks the entry at host offset off and returns its length.
func (v *validation) snapshot(in *bufio.Reader, i uint32, off int64) (int64, error) {
	var p [snapshotFixed]byte
	if _, err := io.ReadFull(in, p[:]); err != nil {
		return 0, readError(err, "read "+snapshotTable, off)
	}
	be := binary.BigEndian
	name := fmt.Sprintf("snapshot %d", i)
	l1Off, l1Entries := be.Uint64(p[0:]), be.Uint32(p[8:])
	idBytes, nameBytes, extra := be.Uint16(p[12:]), be.Uint16(p[14:]), be.Uint32(p[36:])
	if extra > maxSnapshotExtra {
		return 0, errcode.New(errcode.TableBounds, "%s has %d bytes of extra data", name, extra).
			With(limited(evidence(name, "extra_data_size", off+36, extra), maxSnapshotExtra))
	}
	l1Bytes := int64(l1Entries) * 8
	if l1Bytes > maxL1Bytes {
		return 0, errcode.New(errcode.TableBounds, "%s has an L1 table of %d entries", name, l1Entries).
			With(limited(evidence(name, "l1_size", off+8, l1Entries), maxL1Bytes/8))
	}
	if l1Bytes > 0 {
		if err := checkTable(v.d.m.geometry, v.d.m.fileSize, name, "l1_table_offset", off, l1Off, l1Bytes); err != nil {
			return 0, err
		}
	}
	length := binio.DivCeil(snapshotFixed+int64(extra)+int64(idBytes)+int64(nameBytes), 8) * 8
	_, err := in.Discard(int(length - snapshotFixed))
	// The last entry's padding need not be in the file.
	if err == io.EOF && length > v.d.m.fileSize-off && length-7 <= v.d.m.fileSize-off {
		err = nil
	}
	if err != nil {
		return 0, readError(err, "read "+snapshotTable, off)
	}
	return length, nil
}
