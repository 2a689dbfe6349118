package vhdx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	regionMagic      = "regi"
	regionTableBytes = 64 * kib
	region1Off       = 192 * kib
	region2Off       = 256 * kib
	maxRegions       = 2047
)

// regions is what the region table says (2.2.3).
type regions struct {
	bat      formats.Range
	metadata formats.Range
	// used are the header section, the log and all regions, ascending: where
	// no block may lie.
	used []formats.Range
}

// region is an entry of the table.
type region struct {
	id       guid
	off      uint64
	length   uint32
	required bool
}

// knownRegions returns the ids of the BAT and the metadata region.
func knownRegions() (bat, metadata guid) {
	return guid{0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42, 0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08},
		guid{0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B, 0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E}
}

// readRegions reads the region table from either valid copy and checks it.
// Two valid copies that differ are refused: readers would see different disks.
func readRegions(img *image, h *header) (*regions, []formats.Finding, error) {
	var pages [2][]byte
	var errs [2]error
	for i, at := range [2]int64{region1Off, region2Off} {
		p, err := binio.ReadRange(img, img.end, at, regionTableBytes, regionTableBytes)
		if err != nil {
			return nil, nil, place{"region table", "", at}.unread(err)
		}
		if errs[i] = checkPage(p, regionMagic, "region table", at, errcode.VHDXRegion); errs[i] == nil {
			pages[i] = p
		}
	}
	a, b := pages[0], pages[1]
	if a == nil && b == nil {
		return nil, nil, worse(errs[0], errs[1])
	}
	if a != nil && b != nil && !bytes.Equal(a, b) {
		return nil, nil, place{"region table", "", region2Off}.refuse(errcode.VHDXRegion, nil, "", "the two copies of the region table differ")
	}
	var notes []formats.Finding
	at := int64(region1Off)
	if a == nil {
		a, at = b, region2Off
		notes = append(notes, damaged(errs[0]))
	} else if b == nil {
		notes = append(notes, damaged(errs[1]))
	}
	x, err := decodeRegions(a, at, img.end, h)
	return x, notes, err
}

// damaged is the finding about a copy that is not needed.
func damaged(err error) formats.Finding {
	f := formats.FindingOf(err)
	f.Severity = formats.SeverityWarning
	return f
}

// decodeRegions decodes and checks a region table that lies at the given host
// offset.
func decodeRegions(p []byte, at, end int64, h *header) (*regions, error) {
	n := binary.LittleEndian.Uint32(p[8:])
	if n > maxRegions {
		return nil, place{"region table", "EntryCount", at + 8}.refuse(errcode.VHDXRegion, n, fmt.Sprint(maxRegions), "a region table of %d entries", n)
	}
	x := &regions{used: []formats.Range{{Off: 0, End: mib}}}
	if log := h.log(); log.Len() > 0 {
		x.used = append(x.used, log)
	}
	seen := make(map[guid]bool, n)
	for i := range int64(n) {
		q := p[16+32*i:]
		e := region{guid(q[:16]), binary.LittleEndian.Uint64(q[16:]), binary.LittleEndian.Uint32(q[24:]), q[28]&1 != 0}
		where := place{fmt.Sprintf("region table entry %d", i), "Guid", at + 16 + 32*i}
		if seen[e.id] {
			return nil, where.refuse(errcode.VHDXRegion, e.id, "", "region %s stands twice in the table", e.id)
		}
		seen[e.id] = true
		if err := x.add(e, where, end); err != nil {
			return nil, err
		}
	}
	if x.bat.Len() == 0 || x.metadata.Len() == 0 {
		return nil, place{"region table", "", at}.refuse(errcode.VHDXRegion, n, "", "the region table names no BAT or no metadata region")
	}
	sort.Slice(x.used, func(i, j int) bool { return x.used[i].Off < x.used[j].Off })
	for i := 1; i < len(x.used); i++ {
		if x.used[i].Off < x.used[i-1].End {
			return nil, place{"region table", "FileOffset", at}.refuse(errcode.VHDXRegion, x.used[i].Off, "", "header section, log and regions overlap at %d", x.used[i].Off)
		}
	}
	return x, nil
}

// add checks one entry and notes where its region lies.
func (x *regions) add(e region, where place, end int64) error {
	if e.off%mib != 0 || e.off < mib || e.length%mib != 0 {
		return where.refuse(errcode.VHDXRegion, fmt.Sprintf("%d, +%d", e.off, e.length), "multiples of 1 MiB", "region %s lies at %d, %d bytes long", e.id, e.off, e.length)
	}
	if e.off > uint64(end) || int64(e.length) > end-int64(e.off) {
		return where.refuse(errcode.Truncated, fmt.Sprintf("%d, +%d", e.off, e.length), fmt.Sprintf("%d bytes", end), "region %s passes the end of the file", e.id)
	}
	at := formats.Range{Off: int64(e.off), End: int64(e.off) + int64(e.length)}
	switch bat, metadata := knownRegions(); {
	case e.id == bat:
		x.bat = at
	case e.id == metadata:
		x.metadata = at
	case e.required:
		return where.refuse(errcode.VHDXRegion, e.id, "", "the disk needs region %s, which is unknown", e.id)
	}
	if at.Len() > 0 {
		x.used = append(x.used, at)
	}
	return nil
}
