package vhdx

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sort"
	"sync"
	"sync/atomic"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Sector bitmap BAT entry states (2.5.1.2).
const (
	bitmapNotPresent = 0
	bitmapPresent    = 6
)

const (
	// bitmapBytes is the length of a sector bitmap block (2.4).
	bitmapBytes = mib
	// bitmapPieces of pieceBytes make one. The bits of the largest payload
	// block, 256 MiB in sectors of 512 bytes, fill one, and those of a smaller
	// one never lie in two.
	bitmapPieces = bitmapBytes / pieceBytes
	pieceBits    = pieceBytes * 8
)

// bitmaps cache parts of a differencing disk's sector bitmap blocks (2.4): a bit
// for each logical sector of a chunk, the least significant of a byte first,
// that is set if the sector is the child's.
type bitmaps struct {
	slots []bitmapSlot
}

// A bitmapSlot caches one of the parts whose index falls into it.
type bitmapSlot struct {
	mu   sync.Mutex // held while a part is read, so that it is read once
	part atomic.Pointer[bitmapPart]
}

// A bitmapPart is pieceBytes of a sector bitmap block.
type bitmapPart struct {
	index int64 // of all parts of the disk
	raw   []byte
}

func newBitmaps(b *bat, lim formats.Limits) *bitmaps {
	const overhead = 128 // slot, struct and allocation rounding
	chunks := (b.blocks-1)>>b.shift + 1
	return &bitmaps{make([]bitmapSlot, max(1, min(chunks*bitmapPieces, lim.CacheBytes/(pieceBytes+overhead))))}
}

// sectors returns the run [from, to) of bytes of block i, which is partially
// present, that holds the byte at rel and whose sectors are all the child's, or
// all the parent's. It begins with the sector that holds rel.
func (d *disk) sectors(i, rel int64) (ours bool, from, to int64, err error) {
	n := d.block / d.sector // of bits, a power of two
	first := i & (d.bat.ratio - 1) * n
	part, err := d.bitmapPart(i>>d.bat.shift, first/pieceBits)
	if err != nil {
		return false, 0, 0, err
	}
	bit := first%pieceBits + rel/d.sector
	ours, length := bitRun(part.raw, bit, first%pieceBits+binio.DivCeil(d.blockLen(i), d.sector))
	from = rel / d.sector * d.sector
	return ours, from, from + length*d.sector, nil
}

// bitRun returns whether the bit is set, and how many from there on and before
// end are like it. raw is of whole words of 64 bits.
func bitRun(raw []byte, bit, end int64) (set bool, n int64) {
	set = raw[bit/8]>>(bit%8)&1 != 0
	for at := bit; at < end; at = at/64*64 + 64 {
		word := binary.LittleEndian.Uint64(raw[at/64*8:])
		if set {
			word = ^word
		}
		if word >>= at % 64; word != 0 {
			return set, min(at+int64(bits.TrailingZeros64(word)), end) - bit
		}
	}
	return set, end - bit
}

// bitmapPart returns a part of the sector bitmap block of a chunk.
func (d *disk) bitmapPart(chunk, part int64) (*bitmapPart, error) {
	index := chunk*bitmapPieces + part
	s := &d.bits.slots[index%int64(len(d.bits.slots))]
	if p := s.part.Load(); p != nil && p.index == index {
		return p, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.part.Load(); p != nil && p.index == index {
		return p, nil
	}
	host, err := d.bitmapBlock(chunk)
	if err != nil {
		return nil, err
	}
	p := &bitmapPart{index, make([]byte, pieceBytes)}
	if err := binio.ReadFull(d.img, p.raw, host+part*pieceBytes); err != nil {
		return nil, place{"sector bitmap block", "", host}.unread(err)
	}
	s.part.Store(p)
	return p, nil
}

// bitmapBlock returns the host offset of the sector bitmap block of a chunk,
// which a partially present block must have.
func (d *disk) bitmapBlock(chunk int64) (int64, error) {
	index := d.bat.bitmap(chunk)
	p, err := d.bat.piece(index / pieceEntries)
	if err != nil {
		return 0, err
	}
	entry := uint64(bitmapNotPresent) // as all are in a piece that is even
	if p.raw != nil {
		entry = p.entry(index)
	}
	present, host, err := d.checkBitmap(index, entry)
	if err == nil && !present {
		err = d.bat.placeOf(index).refuse(errcode.TableBounds, hex(entry), "", "chunk %d has a block that is partially present and no sector bitmap", chunk)
	}
	return host, err
}

// checkBitmap returns whether there is a sector bitmap block and its host
// offset. It must lie inside the file, and no part of it in the header section,
// the log or a region.
func (d *disk) checkBitmap(index int64, entry uint64) (present bool, host int64, err error) {
	where := d.bat.placeOf(index)
	state := entry & entryState
	if entry&entryReserved != 0 || state != bitmapNotPresent && state != bitmapPresent {
		return false, 0, where.refuse(errcode.TableBounds, hex(entry), "", "the BAT entry of the sector bitmap of chunk %d has a state or bits that are reserved", index/(d.bat.ratio+1))
	}
	if state == bitmapNotPresent {
		return false, 0, nil
	}
	at := entry & entryOffset
	if at >= uint64(d.img.end) || d.img.end-int64(at) < bitmapBytes {
		return false, 0, where.refuse(errcode.Truncated, hex(entry), fmt.Sprintf("%d bytes", d.img.end), "the sector bitmap of chunk %d lies at %d and passes the end of the file", index/(d.bat.ratio+1), at)
	}
	host = int64(at)
	if k := sort.Search(len(d.used), func(k int) bool { return d.used[k].End > host }); k < len(d.used) && d.used[k].Off < host+bitmapBytes {
		return false, 0, d.bitmapOverlaps(index, entry, max(host, d.used[k].Off))
	}
	return true, host, nil
}

// bitmapOverlaps is the error of a sector bitmap block that lies on something
// else.
func (d *disk) bitmapOverlaps(index int64, entry uint64, at int64) error {
	return d.bat.placeOf(index).refuse(errcode.AliasedBlocks, hex(entry), "", "the sector bitmap of chunk %d shares the host offset %d with metadata or a block", index/(d.bat.ratio+1), at)
}
