package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Validate reads every table of the active state and checks that all entries
// are sound, that no two things share a host cluster, and that compressed
// clusters do not claim to hold more than Limits.ExpansionRatio allows, and that
// the snapshot table keeps its bounds. It holds two bits for each cluster of the
// file and one table at a time.
func (d *Disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	if d.info.Unreadable != nil {
		return nil, d.info.Unreadable
	}
	v, err := newValidation(d)
	if err != nil {
		return nil, err
	}
	if err := v.markHeader(); err != nil {
		return nil, err
	}
	if err := v.refcounts(ctx); err != nil {
		return nil, err
	}
	if err := v.guest(ctx); err != nil {
		return nil, err
	}
	if err := v.expansion(); err != nil {
		return nil, err
	}
	return v.snapshots(ctx)
}

// A validation is one pass over the tables.
type validation struct {
	d *Disk
	// owned are the host clusters that exactly one thing refers to: a table or
	// a plain cluster. packed are those with compressed bytes, which many
	// clusters share.
	owned, packed bitmap
	table         []byte
	compressed    int64 // guest clusters
}

type bitmap []uint64

func (b bitmap) has(i int64) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b bitmap) set(i int64)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) count() int64 {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}

func newValidation(d *Disk) (*validation, error) {
	words := binio.DivCeil(binio.DivCeil(d.m.fileSize, d.m.cluster), 64)
	if need := 2 * 8 * words; need > d.lim.TableBytes {
		return nil, errcode.New(errcode.ParserLimit, "checking a file of %d bytes takes %d bytes of memory", d.m.fileSize, need).
			With(limited(evidence("file", "size", 0, d.m.fileSize), d.lim.TableBytes))
	}
	return &validation{d: d, owned: make(bitmap, words), packed: make(bitmap, words), table: make([]byte, d.m.cluster)}, nil
}

// own marks the clusters of [off, off+n) as referred to by one thing, or says
// that something else already does. The range begins inside the file.
func (v *validation) own(off, n int64, by string) error {
	end := min(v.d.m.round(off+n), v.d.m.round(v.d.m.fileSize))
	for at := off; at < end; at += v.d.m.cluster {
		c := at / v.d.m.cluster
		if v.owned.has(c) || v.packed.has(c) {
			return errcode.New(errcode.AliasedBlocks, "%s shares the host cluster at %#x with something else", by, at).
				With(evidence(by, "host offset", at, hex(uint64(at))))
		}
		v.owned.set(c)
	}
	return nil
}

// pack marks the clusters that compressed bytes touch.
func (v *validation) pack(c mapping, by string) error {
	last := (c.host + c.length - 1) / v.d.m.cluster
	for i := c.host / v.d.m.cluster; i <= last; i++ {
		if v.owned.has(i) {
			return errcode.New(errcode.AliasedBlocks, "compressed data of %s lie in the host cluster at %#x, which is something else's", by, i*v.d.m.cluster).
				With(evidence(by, "host offset", c.host, hex(uint64(c.host))))
		}
		v.packed.set(i)
	}
	v.compressed++
	return nil
}

// markHeader marks what the header names.
func (v *validation) markHeader() error {
	d := v.d
	for _, t := range []struct {
		name   string
		off, n int64
	}{
		{"header", 0, d.m.cluster},
		{"L1 table", int64(d.h.l1Off), int64(d.h.l1Entries) * 8},
		{"refcount table", int64(d.h.refTableOff), int64(d.h.refTableLen) * d.m.cluster},
	} {
		if err := v.own(t.off, t.n, t.name); err != nil {
			return err
		}
	}
	return nil
}

// refcounts marks the refcount blocks. The counts themselves are not read: a
// reader does without them, and an image that was not closed cleanly has wrong
// ones.
func (v *validation) refcounts(ctx context.Context) error {
	d := v.d
	for i := range int64(d.h.refTableLen) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		off := int64(d.h.refTableOff) + i*d.m.cluster
		if err := d.readMeta(v.table, off, "refcount table"); err != nil {
			return err
		}
		for at := int64(0); at < d.m.cluster; at += 8 {
			e := binary.BigEndian.Uint64(v.table[at:])
			if e == 0 {
				continue
			}
			index := (i*d.m.cluster + at) / 8
			f := &fault{errcode.TableBounds, "reserved bits are set", ""}
			if e&(1<<9-1) == 0 && e < 1<<56 {
				f = d.m.inFile(int64(e))
			}
			if f != nil {
				return entryFault(f, "refcount table", index, off+at, e)
			}
			if err := v.own(int64(e), d.m.cluster, fmt.Sprintf("refcount block %d", index)); err != nil {
				return err
			}
		}
	}
	return nil
}

// guest checks and marks all L2 tables and what they refer to.
func (v *validation) guest(ctx context.Context) error {
	d := v.d
	for i, e := range d.l1 {
		off := int64(e & entryOffset)
		if off == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		name := fmt.Sprintf("L2 table %d", i)
		if err := v.own(off, d.m.cluster, name); err != nil {
			return err
		}
		if err := d.readMeta(v.table, off, name); err != nil {
			return err
		}
		if err := v.entries(int64(i), name); err != nil {
			return err
		}
	}
	return nil
}

// entries checks and marks the entries of one L2 table. Entries beyond the
// virtual size are checked too: a table that is shared with nothing still must
// not reach into another's cluster.
func (v *validation) entries(index int64, name string) error {
	d := v.d
	for at := int64(0); at < d.m.cluster; at += d.m.entryBytes() {
		// Most entries of a sparse image are empty.
		if empty := d.empty(v.table, at/d.m.entryBytes()*d.m.cluster); empty > 0 {
			at += (empty/d.m.cluster - 1) * d.m.entryBytes()
			continue
		}
		c, f := d.m.decode(v.table[at : at+d.m.entryBytes()])
		if f != nil {
			return d.l2Fault(f, v.table, index, at)
		}
		if c.host == 0 {
			continue
		}
		var err error
		switch {
		case c.compressed:
			err = v.pack(c, name)
		case c.host < d.m.fileSize:
			err = v.own(c.host, d.m.cluster, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expansion compares what compressed clusters stand for with the room that
// their bytes take.
func (v *validation) expansion() error {
	guest, err := binio.Mul(v.compressed, v.d.m.cluster)
	if err != nil {
		return errcode.Wrap(err, errcode.ParserLimit, "count compressed clusters").With(evidence("L2 tables", "", 0, v.compressed))
	}
	stored := v.packed.count() * v.d.m.cluster
	if most, err := binio.Mul(stored, v.d.lim.ExpansionRatio); err != nil || guest <= most {
		return nil
	}
	return errcode.New(errcode.ExpansionRatio, "%d compressed bytes stand for %d guest bytes", stored, guest).
		With(limited(evidence("L2 tables", "compressed clusters", int64(v.d.h.l1Off), guest/max(1, stored)), v.d.lim.ExpansionRatio))
}
