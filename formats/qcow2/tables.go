package qcow2

import (
	"ingest/formats"
	"ingest/internal/errcode"
)

// checkTables checks where the header says that the tables lie.
func (h *header) checkTables(g geometry, size int64, lim formats.Limits) error {
	l1Bytes := int64(h.l1Entries) * 8
	need := g.l1Need(int64(h.size))
	switch {
	case l1Bytes > maxL1Bytes:
		return errcode.New(errcode.TableBounds, "L1 table of %d entries is too large", h.l1Entries).
			With(limited(evidence("header", "l1_size", 36, h.l1Entries), maxL1Bytes/8))
	case int64(h.l1Entries) < need:
		return errcode.New(errcode.TableBounds, "L1 table of %d entries is too small for the virtual size", h.l1Entries).
			With(limited(evidence("header", "l1_size", 36, h.l1Entries), need))
	}
	if err := checkTable(g, size, "header", "l1_table_offset", 40, h.l1Off, l1Bytes); err != nil {
		return err
	}
	refBytes := int64(h.refTableLen) * g.cluster
	if h.refTableLen == 0 || refBytes > lim.RefcountBytes {
		return errcode.New(errcode.TableBounds, "refcount table of %d clusters", h.refTableLen).
			With(limited(evidence("header", "refcount_table_clusters", 56, h.refTableLen), lim.RefcountBytes/g.cluster))
	}
	if err := checkTable(g, g.round(size), "header", "refcount_table_offset", 48, h.refTableOff, refBytes); err != nil {
		return err
	}
	if h.snapshots == 0 {
		return nil
	}
	if int64(h.snapshots) > lim.Snapshots {
		return errcode.New(errcode.TableBounds, "%d snapshots", h.snapshots).
			With(limited(evidence("header", "nb_snapshots", 60, h.snapshots), lim.Snapshots))
	}
	// Each entry of the snapshot table has at least 40 bytes.
	return checkTable(g, size, "header", "snapshots_offset", 64, h.snapshotsOff, int64(h.snapshots)*40)
}

// checkTable checks a table that a field of a structure names: aligned, behind
// the header, inside the file. The field lies at host offset at.
func checkTable(g geometry, size int64, structure, field string, at int64, off uint64, n int64) error {
	// No offset in a qcow2 file has more than 56 bits.
	if off%uint64(g.cluster) != 0 || off < uint64(g.cluster) || off >= 1<<56 {
		return errcode.New(errcode.TableBounds, "%s: %s %#x is not that of a cluster", structure, field, off).
			With(limited(evidence(structure, field, at, hex(off)), g.cluster))
	}
	if off > uint64(size) || uint64(n) > uint64(size)-off {
		return errcode.New(errcode.Truncated, "%s: %s: table of %d bytes at %#x ends beyond the end of the file", structure, field, n, off).
			With(limited(evidence(structure, field, at, hex(off)), size))
	}
	return nil
}
