package vmdk

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Format reads VMDK files.
type Format struct{}

var _ formats.SetFormat = Format{}

// Name returns formats.VMDK.
func (Format) Name() formats.Name { return formats.VMDK }

// Match looks for the magics of sparse extents, also those that are refused,
// and for a text descriptor as VMware and qemu recognise one.
func (Format) Match(head, _ []byte, _ int64) formats.Match {
	for _, m := range []struct{ magic, subformat string }{
		{magicSparse, ""}, {magicCOWD, "vmfsSparse"}, {magicSE, "seSparse"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return formats.Match{OK: true, Subformat: m.subformat, Value: strings.TrimRight(m.magic, "\x00")}
		}
	}
	if line := descriptorLine(head); line != "" {
		return formats.Match{OK: true, Subformat: "descriptor", Value: clip(line)}
	}
	return formats.Match{}
}

// descriptorLine returns the line by which head is a text descriptor, or "".
// qemu takes any text for one that has, behind comments and blank lines, the
// line version=1, 2 or 3; VMware wants the first comment.
func descriptorLine(head []byte) string {
	for len(head) > 0 {
		line, rest, whole := bytes.Cut(head, []byte{'\n'})
		s := strings.TrimSpace(string(line[:min(len(line), 256)]))
		if s != "" && s[0] != '#' {
			low := strings.ToLower(s)
			if low == "version=1" || low == "version=2" || low == "version=3" || strings.HasPrefix(low, "createtype=") {
				return s
			}
			return ""
		}
		if strings.HasPrefix(strings.ToLower(s), "# disk descriptorfile") {
			return s
		}
		if !whole {
			return ""
		}
		head = rest
	}
	return ""
}

// Open parses and checks header, footer, descriptor and the bounds of the
// grain directory, which it reads; grain tables are read when they are used.
func (Format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	head, err := readHead(r, size, lim)
	if err != nil {
		return nil, err
	}
	if err := refuseOtherKinds(head, size); err != nil {
		return nil, err
	}
	h := decodeHeader(head, 0)
	if err := h.check(lim); err != nil {
		return nil, err
	}
	desc, err := readDescriptor(r, size, &h, lim)
	if err != nil {
		return nil, err
	}
	hasFooter := h.gdOffset == gdAtEnd
	if hasFooter {
		footer, err := readFooter(r, size, &h)
		if err != nil {
			return nil, err
		}
		h.gdOffset = footer.gdOffset
	}
	if err := h.checkOverHead(size); err != nil {
		return nil, err
	}
	return newDisk(r, size, lim, &h, desc, hasFooter)
}

// readHead reads what a VMDK is recognised by.
func readHead(r io.ReaderAt, size int64, lim formats.Limits) ([]byte, error) {
	head := make([]byte, min(max(size, 0), formats.HeadLen, max(lim.DescriptorBytes, sectorBytes)))
	if err := binio.ReadFull(r, head, 0); err != nil {
		return nil, place{"sparse extent header", "", 0}.unread(err)
	}
	return head, nil
}

// refuseOtherKinds returns nil for a hosted sparse extent and the reason why
// anything else cannot be read.
func refuseOtherKinds(head []byte, size int64) error {
	m := Format{}.Match(head, nil, size)
	at := place{"file", "magic", 0}
	switch {
	case !m.OK:
		return at.refuse(errcode.FormatMismatch, fmt.Sprintf("%q", head[:min(4, len(head))]), magicSparse, "the file is not a VMDK")
	case m.Subformat == "descriptor":
		d, err := parseDescriptor(head, 0)
		if err != nil || len(d.extents) == 0 {
			return place{"descriptor", "", 0}.refuse(errcode.VMDKDescriptorOnly, clip(m.Value), "", "the file is a text descriptor without a disk")
		}
		return place{"descriptor", "extent", 0}.refuse(errcode.VMDKDescriptorOnly, clip(d.extents[0].name), "",
			"the file is the descriptor of a %s disk whose bytes are in %d other files", clip(d.createType), len(d.extents))
	case m.Subformat != "":
		return at.refuse(errcode.VMDKSubformat, m.Subformat, monolithicSparse+" or "+streamOptimized,
			"the file is an extent of a %s disk, as snapshots on ESXi use them", m.Subformat)
	case len(head) < sectorBytes:
		return place{"sparse extent header", "", 0}.refuse(errcode.Truncated, size, "512", "the file ends within its header")
	}
	return nil
}

// readDescriptor reads and checks the embedded descriptor.
func readDescriptor(r io.ReaderAt, size int64, h *header, lim formats.Limits) (*descriptor, error) {
	n := min(int64(h.descriptorSize)*sectorBytes, lim.DescriptorBytes)
	text, err := binio.ReadRange(r, size, sectorBytes, n, lim.DescriptorBytes)
	if err != nil {
		return nil, place{"descriptor", "", sectorBytes}.unread(err)
	}
	d, err := parseDescriptor(text, sectorBytes)
	if err != nil {
		return nil, err
	}
	return d, d.check(sectorBytes)
}
