package vhd

import (
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// scanBlocks is how many blocks ExtentAt looks at.
const scanBlocks = 4096

// dynamic is a dynamic disk, or what a differencing disk stores.
type dynamic struct {
	r        io.ReaderAt
	fileSize int64
	size     int64 // virtual size, bytes
	block    int64 // bytes of data in a block
	bitmap   int64 // bytes of sector bitmap before them
	bat      []byte
	batOff   int64           // host offset
	meta     []formats.Range // footers, header and BAT, ascending
	info     formats.Info
}

var (
	_ formats.Disk      = (*dynamic)(nil)
	_ formats.Validator = (*dynamic)(nil)
)

// openDynamic opens a file that begins with a footer; end is the one at its
// end, nil if there is none. A differencing disk is refused unless it is opened
// in a chain.
func openDynamic(r io.ReaderAt, size int64, lim formats.Limits, head, end []byte, chain bool) (*image, error) {
	f, err := decodeFooter(head, 0, "footer copy")
	if err != nil {
		return nil, err
	}
	if end != nil {
		g, err := decodeFooter(end, size-int64(len(end)), "footer")
		if err != nil {
			return nil, err
		}
		if err := f.sameDisk(g); err != nil {
			return nil, err
		}
	}
	if err := f.check(lim, chain); err != nil {
		return nil, err
	}
	if f.diskType == typeFixed {
		return nil, f.refuse(errcode.VHDHeader, "disk type", 60, f.diskType, "3", "a %s disk has no footer at its begin", subformat(f.diskType))
	}
	h, err := readHeader(r, size, f)
	if err != nil {
		return nil, err
	}
	d := &dynamic{r: r, fileSize: size, size: int64(f.currentSize), block: int64(h.blockSize), batOff: int64(h.tableOffset)}
	// The bitmap has a bit for each sector and fills whole sectors.
	d.bitmap = binio.DivCeil(d.block/sectorBytes, sectorBytes*8) * sectorBytes
	if d.bat, err = h.readBAT(r, size, binio.DivCeil(d.size, d.block), lim); err != nil {
		return nil, err
	}
	if err := d.layOut(h, int64(len(end))); err != nil {
		return nil, err
	}
	d.info = f.info(size)
	d.info.HolesKnown, d.info.BlockSize = true, d.block
	if end == nil {
		d.info.Findings = append(d.info.Findings, formats.Note(errcode.VHDHeader, formats.SeverityWarning,
			"the file does not end with a footer; only the copy at its begin is left",
			errcode.Evidence{Format: string(formats.VHD), Structure: "footer", Offset: errcode.At(size - footerBytes)}))
	}
	return &image{footer: f, header: h, disk: d, blocks: d}, nil
}

// layOut notes where the metadata lies and refuses what overlaps.
func (d *dynamic) layOut(h *header, footer int64) error {
	a := formats.Range{Off: h.at, End: h.at + headerBytes}
	b := formats.Range{Off: d.batOff, End: d.batOff + int64(h.maxTableEntries)*4}
	if b.Off < a.Off {
		a, b = b, a
	}
	tail := formats.Range{Off: d.fileSize - footer, End: d.fileSize}
	if a.End > b.Off || footer > 0 && b.End > tail.Off {
		return h.refuse(errcode.TableBounds, "table offset", 16, d.batOff, "", "header, BAT and footer overlap")
	}
	d.meta = []formats.Range{{Off: 0, End: footerBytes}, a, b}
	if footer > 0 {
		d.meta = append(d.meta, tail)
	}
	return nil
}

func (d *dynamic) Close() error { return nil }

func (d *dynamic) Size() int64 { return d.size }

func (d *dynamic) Info() formats.Info { return d.info }

// entry returns the BAT's entry for block i.
func (d *dynamic) entry(i int64) uint32 { return binary.BigEndian.Uint32(d.bat[i*4:]) }

// blockLen returns how many bytes of block i the virtual size covers.
func (d *dynamic) blockLen(i int64) int64 { return min(d.block, d.size-i*d.block) }

func (d *dynamic) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("vhd: extent at %d of a disk of %d bytes", off, d.size)
	}
	// No further than scanBlocks, lest a caller that cuts a long hole into
	// pieces has the whole BAT read for each of them.
	return d.run(off, min(d.size, off+scanBlocks*d.block)), nil
}

// run returns the extent from the begin of off's block on: one block of data,
// or a hole that goes on until a block that reaches end.
func (d *dynamic) run(off, end int64) formats.Extent {
	i := off / d.block
	if e := d.entry(i); e != unallocated {
		return formats.Extent{Off: i * d.block, Len: d.blockLen(i), HostOff: int64(e)*sectorBytes + d.bitmap}
	}
	j := i + 1
	for j*d.block < end && d.entry(j) == unallocated {
		j++
	}
	return formats.Extent{Off: i * d.block, Len: min(j*d.block, d.size) - i*d.block, State: formats.Hole, HostOff: -1}
}

func (d *dynamic) ReadAt(p []byte, off int64) (int, error) {
	return formats.ReadRuns(p, off, d.size, d.readRun)
}

// readRun reads at most the run that holds off and returns how many bytes it
// read.
func (d *dynamic) readRun(p []byte, off int64) (int, error) {
	e := d.run(off, off+int64(len(p)))
	skip := off - e.Off
	p = p[:min(int64(len(p)), e.Len-skip)]
	if e.State != formats.Data {
		clear(p)
		return len(p), nil
	}
	if err := d.readBlock(p, e.Off/d.block, e.HostOff, skip); err != nil {
		return 0, err
	}
	return len(p), nil
}

// readBlock reads from block i, whose data is at hostOff, skip bytes into it.
func (d *dynamic) readBlock(p []byte, i, hostOff, skip int64) error {
	if err := d.checkBlock(i, hostOff-d.bitmap); err != nil {
		return err
	}
	if err := binio.ReadFull(d.r, p, hostOff+skip); err != nil {
		return d.blockPlace(i).unread(err)
	}
	return nil
}

// checkBlock holds block i, which begins with its bitmap at hostOff, against
// the file's end and the metadata.
func (d *dynamic) checkBlock(i, hostOff int64) error {
	end := hostOff + d.bitmap + d.blockLen(i)
	if end > d.fileSize {
		return d.blockPlace(i).refuse(errcode.Truncated, hostOff/sectorBytes, fmt.Sprintf("%d bytes", d.fileSize),
			"block %d ends at %d, past the end of the file", i, end)
	}
	for _, m := range d.meta {
		if hostOff < m.End && m.Off < end {
			return d.blockPlace(i).refuse(errcode.AliasedBlocks, hostOff/sectorBytes, "", "block %d overlaps the metadata at %d", i, m.Off)
		}
	}
	return nil
}

func (d *dynamic) blockPlace(i int64) place {
	return place{fmt.Sprintf("BAT entry %d", i), "", d.batOff + i*4}
}
