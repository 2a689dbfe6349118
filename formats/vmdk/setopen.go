package vmdk

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"ingest/formats"
	"ingest/formats/overlay"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Types of extents that a set may have.
const (
	kindFlat   = "FLAT"
	kindSparse = "SPARSE"
	kindVMFS   = "VMFS"
	kindZero   = "ZERO"
)

// setKind returns a createType in its usual spelling, and the type of extents
// that it means; "" if such disks are not read.
func setKind(createType string) (name, kind string) {
	for _, k := range [...][2]string{
		{"monolithicFlat", kindFlat}, {"twoGbMaxExtentFlat", kindFlat},
		{"twoGbMaxExtentSparse", kindSparse},
		{"vmfs", kindVMFS}, {"vmfsThin", kindVMFS},
	} {
		if strings.EqualFold(createType, k[0]) {
			return k[0], k[1]
		}
	}
	return "", ""
}

// OpenSet opens a text descriptor whose extent files are the members. Sizes and
// headers of all of them are checked. A disk that is whole in one file takes no
// members.
func (f Format) OpenSet(r io.ReaderAt, size int64, members []formats.Member, lim formats.Limits) (formats.Disk, error) {
	if len(members) == 0 {
		return f.Open(r, size, lim)
	}
	head, err := readHead(r, size, lim)
	if err != nil {
		return nil, err
	}
	if f.Match(head, nil, size).Subformat != "descriptor" {
		whole, err := f.Open(r, size, lim)
		if err != nil {
			return nil, err
		}
		_ = whole.Close() // holds nothing
		return nil, place{"file", "", -1}.refuse(errcode.MemberMismatch, overlay.Quote(members[0].Name), "none",
			"the disk is whole in its one file; it has no member %s", overlay.Quote(members[0].Name))
	}
	if size > lim.DescriptorBytes {
		return nil, place{"descriptor", "", 0}.refuse(errcode.VMDKDescriptor, size, fmt.Sprintf("%d bytes", lim.DescriptorBytes),
			"descriptor of %d bytes is above the limit", size)
	}
	text, err := binio.ReadRange(r, size, 0, size, lim.DescriptorBytes)
	if err != nil {
		return nil, place{"descriptor", "", 0}.unread(err)
	}
	desc, err := parseDescriptor(text, 0)
	if err != nil {
		return nil, err
	}
	return openSet(desc, size, members, lim)
}

// openSet opens the disk of a descriptor of the given file size.
func openSet(desc *descriptor, size int64, members []formats.Member, lim formats.Limits) (formats.Disk, error) {
	name, kind, err := desc.checkSet()
	if err != nil {
		return nil, err
	}
	box, err := newShelf(members)
	if err != nil {
		return nil, err
	}
	if err := box.complete(desc); err != nil {
		return nil, err
	}
	lim.CacheBytes /= int64(len(desc.extents)) // each piece keeps its own cache
	s := &set{info: formats.Info{Format: formats.VMDK, Subformat: name, FileSize: size, HolesKnown: true}}
	for i := range desc.extents {
		e := &desc.extents[i]
		n, err := e.bytes(s.size, lim)
		if err != nil {
			return nil, err
		}
		p := piece{off: s.size, size: n}
		if e.kind != kindZero {
			if p.disk, err = box.open(e, n, kind, lim); err != nil {
				return nil, err
			}
			s.take(p.disk.Info())
		}
		s.pieces = append(s.pieces, p)
		s.size += n
	}
	s.info.VirtualSize = s.size
	if err := box.apart(); err != nil {
		return nil, err
	}
	for _, h := range box.held {
		s.info.FileSize += max(0, h.Size)
	}
	s.info.Findings = append(s.info.Findings, box.leftovers()...)
	return s, nil
}

// take adds what a piece's own header says to what Info returns.
func (s *set) take(info formats.Info) {
	s.info.HolesKnown = s.info.HolesKnown && info.HolesKnown
	s.info.Findings = append(s.info.Findings, info.Findings...)
	if s.info.BlockSize == 0 {
		s.info.BlockSize = info.BlockSize
	}
}

// checkSet refuses every descriptor but those of disks whose extent files hold
// all of the guest's bytes. It returns createType and the type of extents.
func (d *descriptor) checkSet() (name, kind string, err error) {
	in := func(field string) place { return place{"descriptor", field, 0} }
	if err := d.checkParent(0); err != nil {
		return "", "", err
	}
	name, kind = setKind(d.createType)
	switch {
	case kind == "":
		return "", "", in("createType").refuse(errcode.VMDKSubformat, clip(d.createType), "monolithicFlat, twoGbMaxExtentFlat, twoGbMaxExtentSparse, vmfs or vmfsThin",
			"createType %q cannot be read from a descriptor and its members", clip(d.createType))
	case !d.knownVersion():
		return "", "", d.versionError(0)
	case len(d.extents) == 0:
		return "", "", in("extent").refuse(errcode.VMDKDescriptor, nil, "", "the descriptor has no extent")
	}
	for i := range d.extents {
		if err := d.extents[i].check(kind); err != nil {
			return "", "", err
		}
	}
	return name, kind, nil
}

// check holds a line of the descriptor against the type of extents that
// createType means.
func (e *extentFile) check(kind string) error {
	in := place{"descriptor", "extent", e.at}
	if e.isPath() {
		return in.refuse(errcode.VMDKExtentPath, clip(e.name), "a plain name", "the disk's extent file is named with a path")
	}
	switch {
	case e.access == "NOACCESS":
		return in.refuse(errcode.VMDKSubformat, e.access, "RW or RDONLY", "an extent of the disk is hidden from the guest")
	case e.kind == kindZero && e.name == "" && e.rest == "":
		return nil
	case e.kind != kind && (e.kind == kindFlat || e.kind == kindSparse || e.kind == kindVMFS || e.kind == kindZero):
		return in.refuse(errcode.VMDKDescriptor, e.kind, kind, "an extent of type %s contradicts createType", e.kind)
	case e.kind != kind:
		return in.refuse(errcode.VMDKSubformat, clip(e.kind), kind, "extents of type %s are not read", clip(e.kind))
	case !e.quoted || e.name == "":
		return in.refuse(errcode.VMDKDescriptor, clip(e.name), "", "an extent has no name in quotation marks")
	case kind == kindSparse && e.rest != "", kind == kindFlat && e.rest == "":
		return in.refuse(errcode.VMDKDescriptor, clip(e.rest), "", "a %s extent's line ends wrongly", kind)
	}
	return nil
}

// bytes returns the length of the extent, which follows sofar bytes.
func (e *extentFile) bytes(sofar int64, lim formats.Limits) (int64, error) {
	in := place{"descriptor", "extent", e.at}
	if e.sectors == 0 {
		return 0, in.refuse(errcode.VMDKDescriptor, 0, "> 0", "an extent has no sectors")
	}
	if most := uint64(max(0, lim.VirtualSize-sofar) / sectorBytes); e.sectors > most {
		return 0, in.refuse(errcode.VirtualSizeTooLarge, e.sectors, fmt.Sprintf("%d bytes in all", lim.VirtualSize),
			"with an extent of %d sectors the virtual size is above the limit", e.sectors)
	}
	return int64(e.sectors) * sectorBytes, nil
}

// offset returns where in its file a flat extent begins, bytes.
func (e *extentFile) offset() (int64, error) {
	if e.rest == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(e.rest, 10, 63)
	if err == nil && n <= 1<<53 {
		return int64(n) * sectorBytes, nil
	}
	return 0, place{"descriptor", "extent", e.at}.refuse(errcode.VMDKDescriptor, clip(e.rest), "a number of sectors",
		"the offset of an extent in its file cannot be read")
}
