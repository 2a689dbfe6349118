package vhd

import (
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/errcode"
)

// Format reads VHD files.
type Format struct{}

var _ formats.SetFormat = Format{}

// Name returns formats.VHD.
func (Format) Name() formats.Name { return formats.VHD }

// Match looks for the footer's copy at the begin and, as a fixed disk has only
// that, for the footer at the end.
func (Format) Match(head, tail []byte, size int64) formats.Match {
	p, at := head, int64(0)
	if !hasFooter(p) {
		if p = tailFooter(tail); p == nil {
			return formats.Match{}
		}
		at = size - int64(len(p))
	}
	m := formats.Match{OK: true, Offset: at, Value: footerMagic}
	if len(p) >= 64 {
		m.Subformat = subformat(binary.BigEndian.Uint32(p[60:]))
	}
	return m
}

// Open parses and checks the footers and, of a dynamic disk, header and BAT.
func (Format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	img, err := openImage(r, size, lim, false)
	if err != nil {
		return nil, err
	}
	return img.disk, nil
}

// An image is what one file holds.
type image struct {
	footer *footer
	header *header      // nil of a fixed disk
	disk   formats.Disk // of a differencing disk, blank where the parent shows through
	blocks *dynamic     // the disk, nil of a fixed one
}

// openImage opens one file. A differencing disk is refused unless it is opened
// in a chain.
func openImage(r io.ReaderAt, size int64, lim formats.Limits, chain bool) (*image, error) {
	head, tail, err := readEnds(r, size)
	if err != nil {
		return nil, err
	}
	switch end := tailFooter(tail); {
	case hasFooter(head) && len(head) < footerBytes:
		return nil, place{"footer copy", "", 0}.refuse(errcode.Truncated, size, "512", "the file ends within its first footer")
	case hasFooter(head):
		return openDynamic(r, size, lim, head, end, chain)
	case end != nil:
		return openFixed(r, size, lim, end, chain)
	default:
		return nil, place{"file", "magic", 0}.refuse(errcode.FormatMismatch, fmt.Sprintf("%q", head[:min(8, len(head))]), footerMagic, "the file is not a VHD")
	}
}
