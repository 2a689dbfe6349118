package vhd

import (
	"context"
	"sync/atomic"

	"ingest/formats"
	"ingest/formats/overlay"
	"ingest/internal/binio"
)

// layerBlocks is how many blocks RunAt looks at. Every extent of the parent
// within a hole of the child costs such a look, in each layer of the chain.
const layerBlocks = 64

// layer is what a differencing disk stores of its disk.
type layer struct {
	*dynamic
	member string // its name, "" for the image itself
	maps   []atomic.Pointer[bitmap]
}

// bitmap is the sector bitmap of one block. A set bit, the highest of each byte
// first, means that the block holds the sector; a clear one that the parent
// does.
type bitmap struct {
	block int64
	bits  []byte
}

var (
	_ overlay.Layer     = (*layer)(nil)
	_ formats.Validator = (*layer)(nil)
)

// newLayer returns the layer of a differencing disk, which keeps at most
// cacheBytes of its bitmaps.
func newLayer(d *dynamic, member string, cacheBytes int64) *layer {
	const overhead = 64 // slot, struct and allocation rounding
	blocks := int64(len(d.bat) / 4)
	return &layer{d, member, make([]atomic.Pointer[bitmap], max(1, min(blocks, cacheBytes/(d.bitmap+overhead))))}
}

// in names the member that an error comes from.
func (l *layer) in(err error) error {
	if l.member == "" {
		return err
	}
	return overlay.In(l.member, err)
}

// Info returns the facts of the layer's own header.
func (l *layer) Info() formats.Info {
	info := l.dynamic.Info()
	if l.member != "" {
		info.Findings = overlay.Findings(l.member, info.Findings)
	}
	return info
}

// Validate checks the layer's own file.
func (l *layer) Validate(ctx context.Context) ([]formats.Finding, error) {
	findings, err := l.dynamic.Validate(ctx)
	if l.member != "" {
		findings = overlay.Findings(l.member, findings)
	}
	return findings, l.in(err)
}

// ReadAt reads what the blocks hold, whatever their bitmaps say.
func (l *layer) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.dynamic.ReadAt(p, off)
	return n, l.in(err)
}

// RunAt returns a run of sectors that the layer holds, or of such that it does
// not.
func (l *layer) RunAt(off int64) (overlay.Run, error) {
	i := off / l.block
	if l.entry(i) == unallocated {
		return overlay.Run{Extent: l.run(off, min(l.size, off+layerBlocks*l.block)), Transparent: true}, nil
	}
	bits, err := l.bitmapOf(i)
	if err != nil {
		return overlay.Run{}, l.in(err)
	}
	begin, sectors := i*l.block, l.blockLen(i)/sectorBytes
	first := (off - begin) / sectorBytes
	present := bit(bits, first)
	next := sameBits(bits, first, sectors, present)
	return overlay.Run{
		Extent:      formats.Extent{Off: begin + first*sectorBytes, Len: (next - first) * sectorBytes, State: formats.Data, HostOff: -1},
		Transparent: !present,
	}, nil
}

// bitmapOf returns the sector bitmap of block i, which is in the file.
func (l *layer) bitmapOf(i int64) ([]byte, error) {
	slot := &l.maps[i%int64(len(l.maps))]
	if m := slot.Load(); m != nil && m.block == i {
		return m.bits, nil
	}
	hostOff := int64(l.entry(i)) * sectorBytes
	if err := l.checkBlock(i, hostOff); err != nil {
		return nil, err
	}
	m := &bitmap{block: i, bits: make([]byte, l.bitmap)}
	if err := binio.ReadFull(l.r, m.bits, hostOff); err != nil {
		return nil, l.blockPlace(i).unread(err)
	}
	slot.Store(m)
	return m.bits, nil
}

// bit returns bit i, counted from the highest of the first byte on.
func bit(bits []byte, i int64) bool { return bits[i/8]&(0x80>>(i%8)) != 0 }

// sameBits returns the first bit at or after i that is not as given, or end.
func sameBits(bits []byte, i, end int64, set bool) int64 {
	var whole byte
	if set {
		whole = 0xFF
	}
	for i < end {
		if i%8 == 0 && bits[i/8] == whole {
			i += 8
			continue
		}
		if bit(bits, i) != set {
			return i
		}
		i++
	}
	return end
}
