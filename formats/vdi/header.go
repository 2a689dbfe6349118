package vdi

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"unicode"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	sectorBytes = 512

	signatureOff = 64
	signature    = 0xBEDA107F
	version11    = 0x00010001
	// preHeaderBytes come before what the header's own size counts.
	preHeaderBytes = 72
	// minHeaderBytes is the header's size without the second geometry.
	minHeaderBytes = 0x180
	// headBytes holds the longest header, and no block map can begin before
	// its end.
	headBytes = 512

	minBlockBytes = 4 << 10
	// maxBlockBytes is far above the 1 MiB that all known writers use.
	maxBlockBytes = 256 << 20
)

// The image types.
const (
	typeDynamic      = 1
	typeStatic       = 2
	typeUndo         = 3
	typeDifferencing = 4
)

// header is the pre-header and the header.
type header struct {
	text       string
	version    uint32
	headerSize uint32
	imageType  uint32
	offBmap    uint32
	offData    uint32
	sectorSize uint32
	diskSize   uint64
	blockSize  uint32
	blockExtra uint32
	blocks     uint32
	allocated  uint32
	link       [16]byte
	parent     [16]byte
}

func hasSignature(p []byte) bool {
	return len(p) >= signatureOff+4 && binary.LittleEndian.Uint32(p[signatureOff:]) == signature
}

// readHeader reads the header and checks signature and version, without which
// no other field means anything.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	p := make([]byte, min(max(size, 0), headBytes))
	if err := binio.ReadFull(r, p, 0); err != nil {
		return nil, place{"header", "", 0}.unread(err)
	}
	if !hasSignature(p) {
		return nil, place{"pre-header", "signature", signatureOff}.refuse(errcode.FormatMismatch,
			fmt.Sprintf("% x", p[min(signatureOff, len(p)):min(signatureOff+4, len(p))]), "7f 10 da be", "the file is not a VDI")
	}
	if len(p) < headBytes {
		return nil, place{"header", "", 0}.refuse(errcode.Truncated, size, fmt.Sprint(headBytes), "the file ends within its header")
	}
	h := decodeHeader(p)
	if h.version != version11 {
		return nil, h.refuse(errcode.VDIHeader, "version", 68, fmt.Sprintf("%#08x", h.version), "0x00010001", "version %d.%d is not supported", h.version>>16, h.version&0xFFFF)
	}
	return h, nil
}

// decodeHeader decodes 512 bytes.
func decodeHeader(p []byte) *header {
	le := binary.LittleEndian
	return &header{
		text:       string(p[:signatureOff]),
		version:    le.Uint32(p[68:]),
		headerSize: le.Uint32(p[72:]),
		imageType:  le.Uint32(p[76:]),
		offBmap:    le.Uint32(p[340:]),
		offData:    le.Uint32(p[344:]),
		sectorSize: le.Uint32(p[360:]),
		diskSize:   le.Uint64(p[368:]),
		blockSize:  le.Uint32(p[376:]),
		blockExtra: le.Uint32(p[380:]),
		blocks:     le.Uint32(p[384:]),
		allocated:  le.Uint32(p[388:]),
		link:       [16]byte(p[424:]),
		parent:     [16]byte(p[440:]),
	}
}

func (h *header) refuse(code errcode.Code, field string, off int64, value any, limit, format string, args ...any) error {
	return place{"header", field, off}.refuse(code, value, limit, format, args...)
}

// check holds every field against the format, the limits and the file.
func (h *header) check(size int64, lim formats.Limits) error {
	return cmp.Or(h.checkKind(), h.checkBlocks(), h.checkSize(lim), h.checkLayout(size))
}

// checkKind refuses images that are only part of a disk.
func (h *header) checkKind() error {
	if h.headerSize < minHeaderBytes {
		return h.refuse(errcode.VDIHeader, "header size", 72, h.headerSize, fmt.Sprintf("%d or more", minHeaderBytes), "a header of %d bytes is too short", h.headerSize)
	}
	switch h.imageType {
	case typeDynamic, typeStatic:
	case typeUndo, typeDifferencing:
		return h.refuse(errcode.VDIDifferencing, "image type", 76, h.imageType, "1 or 2", "the image is a delta on another one (%s)", subformat(h.imageType))
	default:
		return h.refuse(errcode.VDIHeader, "image type", 76, h.imageType, "1 or 2", "image type %d is not supported", h.imageType)
	}
	for _, id := range []struct {
		field string
		off   int64
		uuid  []byte
	}{{"link UUID", 424, h.link[:]}, {"parent UUID", 440, h.parent[:]}} {
		if !binio.IsZero(id.uuid) {
			return h.refuse(errcode.VDIDifferencing, id.field, id.off, fmt.Sprintf("%x", id.uuid), "zeros", "the image has a parent")
		}
	}
	return nil
}

// checkBlocks checks the sizes of sector, block and block extra, and the
// number of blocks.
func (h *header) checkBlocks() error {
	if h.sectorSize != sectorBytes {
		return h.refuse(errcode.VDIHeader, "sector size", 360, h.sectorSize, "512", "sectors of %d bytes are not supported", h.sectorSize)
	}
	if h.blockSize < minBlockBytes || h.blockSize > maxBlockBytes || bits.OnesCount32(h.blockSize) != 1 {
		return h.refuse(errcode.VDIHeader, "block size", 376, h.blockSize, fmt.Sprintf("a power of two, %d to %d", minBlockBytes, maxBlockBytes), "blocks of %d bytes are not supported", h.blockSize)
	}
	if x := h.blockExtra; x != 0 && (x < sectorBytes || x > h.blockSize || bits.OnesCount32(x) != 1) {
		return h.refuse(errcode.VDIHeader, "block extra", 380, x, fmt.Sprintf("0, or a power of two, 512 to %d", h.blockSize), "a block extra of %d bytes is not supported", x)
	}
	if h.blocks > entryZero {
		return h.refuse(errcode.VDIHeader, "blocks", 384, h.blocks, fmt.Sprint(uint32(entryZero)), "%d blocks are more than a block map can number", h.blocks)
	}
	if h.allocated > h.blocks {
		return h.refuse(errcode.VDIHeader, "blocks allocated", 388, h.allocated, fmt.Sprint(h.blocks), "%d blocks are allocated of %d", h.allocated, h.blocks)
	}
	return nil
}

// checkSize checks the disk size.
func (h *header) checkSize(lim formats.Limits) error {
	switch most := int64(h.blocks) * int64(h.blockSize); {
	case h.diskSize == 0:
		return h.refuse(errcode.VirtualSizeZero, "disk size", 368, h.diskSize, "", "the disk has no bytes")
	case h.diskSize > uint64(max(lim.VirtualSize, 0)):
		return h.refuse(errcode.VirtualSizeTooLarge, "disk size", 368, h.diskSize, fmt.Sprint(lim.VirtualSize), "the disk has %d bytes", h.diskSize)
	case h.diskSize > uint64(most):
		return h.refuse(errcode.VDIHeader, "disk size", 368, h.diskSize, fmt.Sprint(most), "%d blocks are too few for %d bytes", h.blocks, h.diskSize)
	}
	return nil
}

// checkLayout checks that header, block map and data area follow each other,
// and that the file holds the map.
func (h *header) checkLayout(size int64) error {
	head := preHeaderBytes + int64(h.headerSize)
	end := int64(h.offBmap) + int64(h.blocks)*entryBytes
	switch {
	case h.offBmap%sectorBytes != 0 || int64(h.offBmap) < max(head, headBytes):
		return h.refuse(errcode.TableBounds, "block map offset", 340, h.offBmap, fmt.Sprintf("a multiple of 512 from %d on", head), "the block map is at %d", h.offBmap)
	case end > size:
		return h.refuse(errcode.Truncated, "blocks", 384, h.blocks, fmt.Sprintf("%d bytes", size), "the block map ends at %d, past the end of the file", end)
	case h.offData%sectorBytes != 0 || int64(h.offData) < end:
		return h.refuse(errcode.TableBounds, "data offset", 344, h.offData, fmt.Sprintf("a multiple of 512 from %d on", end), "the data area is at %d", h.offData)
	}
	return nil
}

// info describes the disk as far as the header does.
func (h *header) info(fileSize int64) formats.Info {
	info := formats.Info{
		Format: formats.VDI, Subformat: subformat(h.imageType),
		VirtualSize: int64(h.diskSize), FileSize: fileSize, BlockSize: int64(h.blockSize),
		Creator: creator(h.text), HolesKnown: true,
	}
	if h.diskSize%sectorBytes != 0 {
		info.Findings = append(info.Findings, formats.Note(errcode.SizeUnaligned, formats.SeverityWarning,
			fmt.Sprintf("the disk size of %d bytes is not a multiple of 512; the disk ends there, while some programs round it up", h.diskSize),
			errcode.Evidence{Format: string(formats.VDI), Structure: "header", Field: "disk size", Offset: errcode.At(368), Value: fmt.Sprint(h.diskSize)}))
	}
	return info
}

// creator returns the pre-header's line of text without its decoration, which
// is "<<< name >>>" and a line feed.
func creator(text string) string {
	text, _, _ = strings.Cut(text, "\x00")
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Trim(text, "<> \r\n"))
}

// subformat names an image type.
func subformat(imageType uint32) string {
	switch imageType {
	case typeDynamic:
		return "dynamic"
	case typeStatic:
		return "static"
	case typeUndo:
		return "undo"
	case typeDifferencing:
		return "differencing"
	}
	return ""
}
