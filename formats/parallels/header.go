package parallels

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	sectorBytes = 512
	headerBytes = 64

	magicBytes = 16
	magicV1    = "WithoutFreeSpace"
	magicV2    = "WithouFreSpacExt"
	// headerVersion is the field version of both v1 and v2.
	headerVersion = 2

	// maxTracks is a cluster of 1 GiB, far above the 1 MiB that all known
	// writers use unless told otherwise. With 32-bit entries it keeps host
	// offsets below 2^62.
	maxTracks = 2 << 20
)

// The values of the field in_use.
const (
	inUseOpen   = 0x746F6E59
	inUseClosed = 0x312E3276
	inUseOld    = 0 // closed by a writer that does not know the format extension
)

// flagEmpty is the empty image bit.
const flagEmpty = 1

// header is the image's header.
type header struct {
	formatVersion int // 1 or 2, by the magic
	version       uint32
	tracks        uint32 // cluster size, sectors
	batEntries    uint32
	sectors       uint64 // virtual size, sectors; v1 uses the lower half
	inUse         uint32
	dataOff       uint32 // sectors
	flags         uint32
	extOff        uint64 // sectors
}

// versionOf returns the version that the magic stands for, 0 if there is none.
func versionOf(p []byte) int {
	if len(p) < magicBytes {
		return 0
	}
	switch string(p[:magicBytes]) {
	case magicV1:
		return 1
	case magicV2:
		return 2
	}
	return 0
}

// readHeader reads the header and checks magic and version, without which no
// other field means anything.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	p := make([]byte, min(max(size, 0), headerBytes))
	if err := binio.ReadFull(r, p, 0); err != nil {
		return nil, place{"header", "", 0}.unread(err)
	}
	v := versionOf(p)
	if v == 0 {
		return nil, place{"header", "magic", 0}.refuse(errcode.FormatMismatch, fmt.Sprintf("%q", p[:min(magicBytes, len(p))]), magicV1+" or "+magicV2, "the file is not a Parallels image")
	}
	if len(p) < headerBytes {
		return nil, place{"header", "", 0}.refuse(errcode.Truncated, size, fmt.Sprint(headerBytes), "the file ends within its header")
	}
	le := binary.LittleEndian
	h := &header{
		formatVersion: v,
		version:       le.Uint32(p[16:]),
		tracks:        le.Uint32(p[28:]),
		batEntries:    le.Uint32(p[32:]),
		sectors:       le.Uint64(p[36:]),
		inUse:         le.Uint32(p[44:]),
		dataOff:       le.Uint32(p[48:]),
		flags:         le.Uint32(p[52:]),
		extOff:        le.Uint64(p[56:]),
	}
	if h.version != headerVersion {
		return nil, h.refuse(errcode.ParallelsHeader, "version", 16, h.version, fmt.Sprint(headerVersion), "header version %d is not supported", h.version)
	}
	return h, nil
}

func (h *header) refuse(code errcode.Code, field string, off int64, value any, limit, format string, args ...any) error {
	return place{"header", field, off}.refuse(code, value, limit, format, args...)
}

// cluster returns the cluster size in bytes.
func (h *header) cluster() int64 { return int64(h.tracks) * sectorBytes }

// sizeSectors returns the virtual size in sectors.
func (h *header) sizeSectors() uint64 {
	if h.formatVersion == 1 {
		return h.sectors & math.MaxUint32
	}
	return h.sectors
}

// batEnd returns the host offset behind the BAT.
func (h *header) batEnd() int64 { return headerBytes + int64(h.batEntries)*entryBytes }

// dataStart returns the host offset of the data area.
func (h *header) dataStart() int64 {
	if h.dataOff == 0 {
		return binio.DivCeil(h.batEnd(), sectorBytes) * sectorBytes
	}
	return int64(h.dataOff) * sectorBytes
}

// check holds every field against the format, the limits and the file.
func (h *header) check(size int64, lim formats.Limits) error {
	if h.tracks == 0 || h.tracks > maxTracks {
		return h.refuse(errcode.ParallelsHeader, "tracks", 28, h.tracks, fmt.Sprintf("1 to %d", maxTracks), "clusters of %d sectors are not supported", h.tracks)
	}
	return cmp.Or(h.checkSize(lim), h.checkInUse(), h.checkData(size), h.checkExtension(size))
}

// checkSize holds the virtual size against the limit and the BAT.
func (h *header) checkSize(lim formats.Limits) error {
	sectors := h.sizeSectors()
	switch most := uint64(h.batEntries) * uint64(h.tracks); {
	case sectors == 0:
		return h.refuse(errcode.VirtualSizeZero, "nb_sectors", 36, sectors, "", "the disk has no bytes")
	case sectors > uint64(max(lim.VirtualSize, 0))/sectorBytes:
		return h.refuse(errcode.VirtualSizeTooLarge, "nb_sectors", 36, sectors, fmt.Sprint(lim.VirtualSize/sectorBytes), "the disk has %d sectors", sectors)
	case sectors > most:
		return h.refuse(errcode.ParallelsHeader, "nb_bat_entries", 32, h.batEntries, fmt.Sprintf("%d or more", (sectors-1)/uint64(h.tracks)+1), "a BAT of %d entries is too short for %d sectors", h.batEntries, sectors)
	}
	return nil
}

// checkInUse refuses the values of in_use that the specification does not
// allow.
func (h *header) checkInUse() error {
	switch h.inUse {
	case inUseOpen, inUseClosed, inUseOld:
		return nil
	}
	return h.refuse(errcode.ParallelsHeader, "in_use", 44, fmt.Sprintf("%#08x", h.inUse), "0, 0x312e3276 or 0x746f6e59", "the in-use mark is %#08x", h.inUse)
}

// checkData checks that the file holds the BAT and that the data area follows
// it.
func (h *header) checkData(size int64) error {
	if end := h.batEnd(); end > size {
		return h.refuse(errcode.Truncated, "nb_bat_entries", 32, h.batEntries, fmt.Sprintf("%d bytes", size), "the BAT ends at %d, past the end of the file", end)
	}
	if h.formatVersion == 2 && (h.dataOff == 0 || h.dataOff%h.tracks != 0) {
		return h.refuse(errcode.ParallelsHeader, "data_off", 48, h.dataOff, fmt.Sprintf("a multiple of %d", h.tracks), "the data area is at sector %d", h.dataOff)
	}
	// A file without clusters may end with its BAT.
	switch start := h.dataStart(); {
	case start < h.batEnd():
		return h.refuse(errcode.TableBounds, "data_off", 48, h.dataOff, fmt.Sprintf("%d bytes or more", h.batEnd()), "the data area begins at %d, within the BAT", start)
	case h.dataOff != 0 && start > size:
		return h.refuse(errcode.Truncated, "data_off", 48, h.dataOff, fmt.Sprintf("%d bytes", size), "the data area begins at %d, past the end of the file", start)
	}
	return nil
}

// checkExtension checks that the format extension is one cluster of the data
// area.
func (h *header) checkExtension(size int64) error {
	if h.extOff == 0 {
		return nil
	}
	if h.extOff > math.MaxInt64/sectorBytes {
		return h.refuse(errcode.TableBounds, "ext_off", 56, h.extOff, fmt.Sprint(math.MaxInt64/sectorBytes), "the format extension is at sector %d", h.extOff)
	}
	at := int64(h.extOff) * sectorBytes
	if start := h.dataStart(); at < start || (at-start)%h.cluster() != 0 {
		return h.refuse(errcode.TableBounds, "ext_off", 56, h.extOff, fmt.Sprintf("a cluster from %d bytes on", start), "the format extension is at %d", at)
	}
	if end, err := binio.Add(at, h.cluster()); err != nil || end > size {
		return h.refuse(errcode.Truncated, "ext_off", 56, h.extOff, fmt.Sprintf("%d bytes", size), "the format extension at %d passes the end of the file", at)
	}
	return nil
}

// info describes the disk as far as the header does.
func (h *header) info(fileSize int64) formats.Info {
	info := formats.Info{
		Format: formats.Parallels, Subformat: subformat(h.formatVersion),
		VirtualSize: int64(h.sizeSectors()) * sectorBytes, FileSize: fileSize, BlockSize: h.cluster(),
		HolesKnown: true,
	}
	note := func(sev formats.Severity, field string, off int64, value, message string) {
		info.Findings = append(info.Findings, formats.Note(errcode.ParallelsHeader, sev, message,
			errcode.Evidence{Format: string(formats.Parallels), Structure: "header", Field: field, Offset: errcode.At(off), Value: value}))
	}
	if h.inUse == inUseOpen {
		note(formats.SeverityWarning, "in_use", 44, fmt.Sprintf("%#08x", h.inUse), "the image was not closed cleanly, or was copied while in use; its latest writes may be missing")
	}
	if h.formatVersion == 1 && h.sectors > math.MaxUint32 {
		note(formats.SeverityWarning, "nb_sectors", 40, fmt.Sprint(h.sectors), "the upper half of the size is not zero; it has no meaning in this version and is ignored")
	}
	if h.extOff != 0 {
		note(formats.SeverityInfo, "ext_off", 56, fmt.Sprint(h.extOff), "the image has a format extension (dirty bitmaps), which is not imported")
	}
	return info
}

// subformat names a version.
func subformat(version int) string { return fmt.Sprintf("v%d", version) }
