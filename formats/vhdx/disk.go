package vhdx

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// disk is the guest view of a VHDX file.
type disk struct {
	img    *image
	bat    *bat     // nil if the disk is unreadable
	bits   *bitmaps // nil unless the disk has a parent
	size   int64
	block  int64           // bytes
	shift  int             // logarithm of block
	sector int64           // logical sector, bytes
	used   []formats.Range // header section, log and regions, ascending
	lim    formats.Limits
	info   formats.Info
}

var (
	_ formats.Disk      = (*disk)(nil)
	_ formats.Validator = (*disk)(nil)
)

// newDisk returns the disk of a file that stands alone. A differencing disk is
// unreadable then.
func newDisk(f *file, lim formats.Limits) (*disk, error) {
	d, m := describe(f, lim), f.meta
	if m.child() {
		d.info.Unreadable = m.refuse(errcode.VHDXDifferencing, fileParameters, hex(uint64(m.flags)), "", "the disk holds only what changed against its parent%s", named(m))
		return d, nil
	}
	var err error
	d.bat, err = newBAT(f.img, f.regions.bat, m, lim)
	return d, err
}

// describe returns the disk without its BAT.
func describe(f *file, lim formats.Limits) *disk {
	m := f.meta
	d := &disk{
		img: f.img, size: int64(m.size), block: int64(m.blockSize), shift: bits.TrailingZeros32(m.blockSize),
		sector: int64(m.logical), used: f.regions.used, lim: lim,
	}
	d.info = formats.Info{
		Format: formats.VHDX, Subformat: m.subformat(), Creator: f.creator,
		VirtualSize: d.size, FileSize: f.img.size, BlockSize: d.block, HolesKnown: true,
		Names: m.parents, Findings: f.findings,
	}
	note := func(code errcode.Code, k itemKind, value any, message string) {
		d.info.Findings = append(d.info.Findings, formats.Note(code, formats.SeverityWarning, message,
			errcode.Evidence{Format: string(formats.VHDX), Structure: k.spec().name, Offset: errcode.At(m.at[k].Off), Value: fmt.Sprint(value)}))
	}
	if m.logical == 4096 && !f.parent {
		note(errcode.VHDXSector4K, logicalSectorSize, m.logical,
			"the disk has logical sectors of 4096 bytes: a partition table inside counts in them, and the disk boots only where sectors have that size")
	}
	if m.has[parentLocator] && !m.child() {
		note(errcode.VHDXMetadata, parentLocator, len(m.parents), "the disk has a parent locator and no parent")
	}
	return d
}

// named says which file the parent is, if the locator does.
func named(m *metadata) string {
	if !m.locatorKnown || len(m.parents) == 0 {
		return ""
	}
	return fmt.Sprintf(" %q", m.parents[0])
}

func (d *disk) Close() error { return nil }

func (d *disk) Size() int64 { return d.size }

func (d *disk) Info() formats.Info { return d.info }

func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if d.info.Unreadable != nil {
		return formats.Extent{}, d.info.Unreadable
	}
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("vhdx: extent at %d of a disk of %d bytes", off, d.size)
	}
	r, err := d.run(off, d.size)
	return r.Extent, err
}

// A run is an extent and where its bytes are in the image, which is not its
// HostOff where the log has changed them.
type run struct {
	formats.Extent
	host int64
}

// blockLen returns how many bytes of block i the virtual size covers.
func (d *disk) blockLen(i int64) int64 { return min(d.block, d.size-i<<d.shift) }

// run returns the run of one state that holds off, from the begin of off's
// block or later on, in which a hole of a disk that has a parent is the parent's, until one that reaches end, or to the end of the cached
// piece of the BAT: looking further would make many short reads slow.
func (d *disk) run(off, end int64) (run, error) {
	i := off >> d.shift
	index := d.bat.index(i)
	p, err := d.bat.piece(index / pieceEntries)
	if err != nil {
		return run{}, err
	}
	last := min(d.bat.blocks, d.bat.payload((p.index+1)*pieceEntries))
	if p.raw == nil {
		return d.empty(i, last, p.state), nil
	}
	last = min(last, binio.DivCeil(end, d.block))
	entry := p.entry(index)
	if entry == 0 {
		j := i + 1
		for j < last && p.entry(d.bat.index(j)) == 0 {
			j++
		}
		return d.empty(i, j, formats.Hole), nil
	}
	r, err := d.inBlock(i, entry, off-i<<d.shift)
	if err != nil {
		return run{}, err
	}
	for j := i + 1; j < last && r.End() == j<<d.shift; j++ {
		next, err := d.inBlock(j, p.entry(d.bat.index(j)), 0)
		// A bad entry ends the run; it is told when it is asked for.
		if err != nil || !r.goesOn(next) {
			break
		}
		r.Len += next.Len
	}
	return r, nil
}

// empty returns the run from block i to before block j, which are all in a
// state that is not data.
func (d *disk) empty(i, j int64, s formats.State) run {
	off := i << d.shift
	return run{Extent: formats.Extent{Off: off, Len: min(j<<d.shift, d.size) - off, State: s, HostOff: -1}, host: -1}
}

// goesOn reports whether next, which lies behind r for the guest, continues it.
func (r run) goesOn(next run) bool {
	if r.State != next.State || (r.HostOff < 0) != (next.HostOff < 0) {
		return false
	}
	return r.State != formats.Data || r.host+r.Len == next.host
}

// inBlock returns the part of block i that holds the byte at rel. A block that
// passes the end of the file has two parts: what is stored and, behind it,
// zeros. One that is partially present has a part for each run of sectors that
// are the child's, or the parent's.
func (d *disk) inBlock(i int64, entry uint64, rel int64) (run, error) {
	s, ok := d.bat.stateOf(entry)
	if !ok {
		return run{}, d.bat.fault(i, entry)
	}
	n := d.blockLen(i)
	r := run{Extent: formats.Extent{Off: i << d.shift, Len: n, State: s, HostOff: -1}, host: -1}
	if s != formats.Data {
		return r, nil
	}
	host, err := d.checkBlock(i, entry)
	if err != nil {
		return run{}, err
	}
	from, to := int64(0), n
	if entry&entryState == blockPartiallyPresent {
		var ours bool
		if ours, from, to, err = d.sectors(i, rel); err != nil {
			return run{}, err
		}
		if !ours {
			r.Off, r.Len, r.State = r.Off+from, to-from, formats.Hole
			return r, nil
		}
	}
	stored, plain := d.img.size-host, true
	if d.img.over.touches(host, host+n) {
		stored, plain = d.img.end-host, false
	}
	stored = max(from, min(stored, to))
	if rel >= stored {
		r.Off, r.Len, r.State = r.Off+stored, to-stored, formats.Zero
		return r, nil
	}
	r.Off, r.Len, r.host = r.Off+from, stored-from, host+from
	if plain {
		r.HostOff = r.host
	}
	return r, nil
}

// checkBlock returns the host offset of block i, which is present. It must begin inside the file, and no part of it may lie in the header section,
// the log or a region. That the file also holds its end is for
// Validate to say: without that, what is cut off reads as zeros.
func (d *disk) checkBlock(i int64, entry uint64) (int64, error) {
	at := entry & entryOffset
	if at >= uint64(d.img.end) {
		return 0, d.bat.place(i).refuse(errcode.Truncated, hex(entry), fmt.Sprintf("%d bytes", d.img.end), "block %d lies at %d, past the end of the file", i, at)
	}
	host := int64(at)
	k := sort.Search(len(d.used), func(k int) bool { return d.used[k].End > host })
	if k < len(d.used) && d.used[k].Off < host+d.block {
		return 0, d.overlaps(i, entry, max(host, d.used[k].Off))
	}
	return host, nil
}

// overlaps is the error of a block that lies on something else.
func (d *disk) overlaps(i int64, entry uint64, at int64) error {
	return d.bat.place(i).refuse(errcode.AliasedBlocks, hex(entry), "", "block %d shares the host offset %d with metadata or another block", i, at)
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if d.info.Unreadable != nil {
		return 0, d.info.Unreadable
	}
	if off < 0 {
		return 0, errors.New("vhdx: read at a negative offset")
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= d.size {
		return 0, io.EOF
	}
	q := p[:min(int64(len(p)), d.size-off)]
	n := 0
	for n < len(q) {
		at := off + int64(n)
		r, err := d.run(at, off+int64(len(q)))
		if err != nil {
			return n, err
		}
		part := q[n:]
		part = part[:min(int64(len(part)), r.End()-at)]
		if r.State != formats.Data {
			clear(part)
		} else if err := binio.ReadFull(d.img, part, r.host+at-r.Off); err != nil {
			return n, d.bat.place(at >> d.shift).unread(err)
		}
		n += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
