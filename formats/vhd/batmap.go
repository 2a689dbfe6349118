package vhd

import (
	"context"
	"encoding/binary"
	"fmt"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// The batmap of XenServer and XCP-ng (blktap, vhd.h: struct dd_batmap_hdr). Its
// header fills the sector behind the BAT's last one; the map has a bit for each
// BAT entry, set if the block's sector bitmap is all ones. It spares a reader of
// differencing disks some bitmaps and holds nothing that they do not, so that
// reading does without it. Validate keeps it apart from the blocks.
const (
	batmapMagic   = "tdbatmap"
	batmapCreator = "tap"
	// batmapVersion is 1.2, the last; 1.1 sums signed bytes.
	batmapVersion       = 0x00010002
	batmapSignedVersion = 0x00010001
	// batmapChunk is how much of the map is summed at a time.
	batmapChunk = 64 << 10
)

// batmapHeader is the fields of the header.
type batmapHeader struct {
	at       int64  // host offset of the header
	offset   uint64 // host offset of the map
	sectors  uint32 // its length
	version  uint32
	checksum uint32 // one's complement of the sum of its bytes
}

// readBatmap returns the header of the batmap, nil if the file has none.
func (d *dynamic) readBatmap() (*batmapHeader, error) {
	if d.info.Creator != batmapCreator {
		return nil, nil
	}
	at := int64(0)
	for _, m := range d.meta {
		if m.Off == d.batOff {
			at = binio.DivCeil(m.End, sectorBytes) * sectorBytes
		}
	}
	if d.fileSize-at < sectorBytes {
		return nil, nil
	}
	p := make([]byte, sectorBytes)
	if err := binio.ReadFull(d.r, p, at); err != nil {
		return nil, place{"batmap header", "", at}.unread(err)
	}
	if string(p[:8]) != batmapMagic {
		return nil, nil
	}
	be := binary.BigEndian
	return &batmapHeader{at: at, offset: be.Uint64(p[8:]), sectors: be.Uint32(p[16:]), version: be.Uint32(p[20:]), checksum: be.Uint32(p[24:])}, nil
}

// checkBatmap returns where the batmap and its header lie, and what is wrong
// with it: a broken one takes nothing from the disk, but other programs trust
// it.
func (d *dynamic) checkBatmap(ctx context.Context) (own []formats.Range, findings []formats.Finding, err error) {
	h, err := d.readBatmap()
	if h == nil || err != nil {
		return nil, nil, err
	}
	own = []formats.Range{{Off: h.at, End: h.at + sectorBytes}}
	note := func(code errcode.Code, field string, rel int64, value any, format string, args ...any) {
		findings = append(findings, formats.Note(code, formats.SeverityWarning, fmt.Sprintf(format, args...), errcode.Evidence{
			Format: string(formats.VHD), Structure: "batmap header", Field: field, Offset: errcode.At(h.at + rel), Value: fmt.Sprint(value)}))
	}
	if h.version > batmapVersion {
		note(errcode.VHDHeader, "version", 20, fmt.Sprintf("%#08x", h.version), "the batmap's version is not known")
		return own, findings, nil
	}
	length := int64(h.sectors) * sectorBytes
	if h.offset > uint64(d.fileSize) || length > d.fileSize-int64(h.offset) {
		note(errcode.Truncated, "offset", 8, h.offset, "the batmap of %d bytes passes the end of the file", length)
		return own, findings, nil
	}
	body := formats.Range{Off: int64(h.offset), End: int64(h.offset) + length}
	for _, m := range append(own, d.meta...) {
		if body.Off < m.End && m.Off < body.End {
			note(errcode.TableBounds, "offset", 8, h.offset, "the batmap overlaps other metadata")
			return own, findings, nil
		}
	}
	own = append(own, body)
	if length*8 < int64(len(d.bat)/4) {
		note(errcode.VHDSizeMismatch, "size", 16, h.sectors, "the batmap is too short for %d blocks", len(d.bat)/4)
		return own, findings, nil
	}
	sum, err := d.batmapSum(ctx, body, h.version == batmapSignedVersion)
	if err == nil && sum != h.checksum {
		note(errcode.VHDChecksum, "checksum", 24, fmt.Sprintf("%#08x", h.checksum), "the checksum of the batmap is wrong: it should be %#08x", sum)
	}
	return own, findings, err
}

// batmapSum returns the checksum of the map.
func (d *dynamic) batmapSum(ctx context.Context, body formats.Range, signed bool) (uint32, error) {
	p := make([]byte, min(batmapChunk, body.Len()))
	var sum uint32
	for at := body.Off; at < body.End; at += int64(len(p)) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		p = p[:min(int64(len(p)), body.End-at)]
		if err := binio.ReadFull(d.r, p, at); err != nil {
			return 0, place{"batmap", "", at}.unread(err)
		}
		for _, b := range p {
			if signed {
				sum += uint32(int8(b))
			} else {
				sum += uint32(b)
			}
		}
	}
	return ^sum, nil
}

// apartFrom refuses block i, which begins at hostOff, if it lies on one of the
// ranges.
func (d *dynamic) apartFrom(own []formats.Range, i, hostOff int64) error {
	for _, m := range own {
		if hostOff < m.End && m.Off < hostOff+d.bitmap+d.blockLen(i) {
			return d.blockPlace(i).refuse(errcode.AliasedBlocks, hostOff/sectorBytes, "", "block %d overlaps the batmap at %d", i, m.Off)
		}
	}
	return nil
}
