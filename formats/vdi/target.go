package vdi

import (
	"encoding/binary"
	"fmt"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	// writeVersion is raised whenever the same disk and options give other
	// bytes.
	writeVersion = 1
	// writeBlockBytes is the one block size that VirtualBox makes by itself and
	// that QEMU reads.
	writeBlockBytes = 1 << 20
	// bmapOffset is where the block map lies, bytes.
	bmapOffset = headBytes
	// dataAlign keeps blocks on the boundaries of the disk below, as
	// VirtualBox does (VDICore.h, VDI_DATA_ALIGN).
	dataAlign = 1 << 20
)

// MaxSize is the largest virtual size of an image that is written, bytes: 64 TiB.
// The format reaches to a little less than 1 PiB, where the offset of the data
// area outgrows its 32 bits; but what our readers refuse by default is not
// written.
const MaxSize = 64 << 40

// A Dynamic is a dynamic image that is to be written:
//
//	pre-header | header | block map | blocks of 1 MiB in guest order
//
// The virtual size is the source's, rounded up to whole sectors: VirtualBox shows
// the guest no part of one. The zero value has the defaults.
type Dynamic struct {
	UUID string // the image's UUID; "" for one that is derived from the disk
}

var _ blocks.Target = Dynamic{}

// Codec names the options and the version of the layout.
func (d Dynamic) Codec() string {
	c := fmt.Sprintf("vdi dynamic v%d", writeVersion)
	if d.UUID == "" {
		return c
	}
	if id, err := imageID(d.UUID, formats.ID{}); err == nil {
		return c + " uuid=" + id.String()
	}
	return fmt.Sprintf("%s uuid=%q", c, d.UUID)
}

// Layout checks the options and lays out a disk of size bytes.
func (d Dynamic) Layout(size int64) (blocks.Layout, error) {
	if _, err := imageID(d.UUID, formats.ID{}); err != nil {
		return nil, err
	}
	ev := errcode.Evidence{Format: string(formats.VDI), Structure: "source", Field: "virtual size", Value: fmt.Sprint(size), Limit: fmt.Sprint(int64(MaxSize))}
	if size <= 0 {
		return nil, errcode.New(errcode.VirtualSizeZero, "the source's disk has %d bytes", size).With(ev)
	}
	v, err := binio.AlignUp(size, sectorBytes)
	if err != nil || v > MaxSize {
		return nil, errcode.New(errcode.VirtualSizeTooLarge, "a disk of %d bytes does not fit a VDI", size).With(ev)
	}
	l := layout{uuid: d.UUID, shape: blocks.Shape{Format: formats.VDI, VirtualSize: v, BlockSize: writeBlockBytes}}
	l.shape.Head = binio.DivCeil(bmapOffset+entryBytes*l.shape.Blocks(), dataAlign) * dataAlign
	return l, nil
}

// imageID returns the id of option uuid, or the derived one if it is empty.
// VirtualBox refuses an image whose UUID is all zeros, and so does ParseID.
func imageID(uuid string, derived formats.ID) (formats.ID, error) {
	if uuid == "" {
		return derived, nil
	}
	if id, ok := formats.ParseID(uuid); ok {
		return id, nil
	}
	const limit = "a UUID such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427, not all zeros"
	return formats.ID{}, errcode.New(errcode.TargetOption, "vdi: option uuid takes %s", limit).
		With(errcode.Evidence{Format: string(formats.VDI), Structure: "option", Field: "uuid", Value: uuid[:min(len(uuid), 80)], Limit: limit})
}

// layout is the layout of a dynamic image.
type layout struct {
	shape blocks.Shape
	uuid  string
}

func (l layout) Shape() blocks.Shape { return l.shape }

// Head returns the header and the block map. The place of a stored block is the
// number of those before it.
func (l layout) Head(v blocks.View) []blocks.Part {
	id, err := imageID(l.uuid, v.ID)
	if err != nil {
		id = v.ID // Layout has refused it
	}
	return []blocks.Part{
		blocks.Bytes(0, newHeader(l.shape, v.Stored.Len(), id, v.ID.Derive("vdi last snapshot"))),
		blocks.Table32(bmapOffset, binary.LittleEndian, v.Stored, entryHole, func(rank int64) uint32 { return uint32(rank) }),
	}
}

// Tail returns nothing: the last block ends the file.
func (l layout) Tail(blocks.View) []blocks.Part { return nil }

// BlockHead does nothing: the block extra is 0.
func (l layout) BlockHead([]byte, int64) {}
