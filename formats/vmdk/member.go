package vmdk

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"ingest/formats"
	"ingest/formats/overlay"
	"ingest/formats/raw"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A shelf holds the members by their names.
type shelf struct {
	held   []*held // in the caller's order
	byName map[string]*held
}

// held is a member and the ranges of it that extents are stored in.
type held struct {
	formats.Member
	used []formats.Range
}

func newShelf(members []formats.Member) (*shelf, error) {
	s := &shelf{byName: make(map[string]*held, len(members))}
	for _, m := range members {
		if s.byName[m.Name] != nil {
			return nil, strange(m.Name, "two members have the name %s", overlay.Quote(m.Name))
		}
		h := &held{Member: m}
		s.byName[m.Name] = h
		s.held = append(s.held, h)
	}
	return s, nil
}

// strange is the error of a member that does not belong to the image.
func strange(name, format string, args ...any) error {
	return place{"descriptor", "extent", -1}.refuse(errcode.MemberMismatch, overlay.Quote(name), "", format, args...)
}

// complete proves that the members are exactly the files that the descriptor
// names.
func (s *shelf) complete(desc *descriptor) error {
	named := make(map[string]bool, len(desc.extents))
	var first *extentFile
	missing := 0
	for i := range desc.extents {
		e := &desc.extents[i]
		if e.name == "" || named[e.name] {
			continue
		}
		named[e.name] = true
		if s.byName[e.name] == nil {
			if missing++; first == nil {
				first = e
			}
		}
	}
	if first != nil {
		others := ""
		if missing > 1 {
			others = fmt.Sprintf(", nor %d more that the descriptor names", missing-1)
		}
		return place{"descriptor", "extent", first.at}.refuse(errcode.MemberMissing, clip(first.name), "",
			"the disk's extent file %s was not given%s", overlay.Quote(first.name), others)
	}
	for _, h := range s.held {
		if !named[h.Name] {
			return strange(h.Name, "the descriptor does not name the member %s", overlay.Quote(h.Name))
		}
	}
	return nil
}

// open opens the extent of n bytes that e stands for, in a member that is known
// to be there.
func (s *shelf) open(e *extentFile, n int64, kind string, lim formats.Limits) (formats.Disk, error) {
	h := s.byName[e.name]
	if kind == kindSparse {
		h.used = append(h.used, formats.Range{Off: 0, End: max(1, h.Size)})
		d, err := openPiece(h.Member, n, lim)
		if err != nil {
			return nil, overlay.In(h.Name, err)
		}
		return overlay.Named(d, h.Name), nil
	}
	off, err := e.offset()
	if err != nil {
		return nil, err
	}
	if off > h.Size || n > h.Size-off {
		return nil, place{"descriptor", "extent", e.at}.refuse(errcode.Truncated, fmt.Sprintf("%d bytes at %d", n, off), fmt.Sprintf("%d bytes", h.Size),
			"the member %s has %d bytes, and the extent in it needs %d from offset %d on", overlay.Quote(h.Name), h.Size, n, off)
	}
	h.used = append(h.used, formats.Range{Off: off, End: off + n})
	return overlay.Named(raw.New(section(h.R, off, n), n), h.Name), nil
}

// apart refuses extents that overlap in a member.
func (s *shelf) apart() error {
	for _, h := range s.held {
		slices.SortFunc(h.used, func(a, b formats.Range) int { return cmp.Compare(a.Off, b.Off) })
		for i := 1; i < len(h.used); i++ {
			if h.used[i].Off < h.used[i-1].End {
				return place{"descriptor", "extent", -1}.refuse(errcode.AliasedBlocks, h.used[i].Off, fmt.Sprint(h.used[i-1].End),
					"two extents overlap in member %s", overlay.Quote(h.Name))
			}
		}
	}
	return nil
}

// leftovers tells of flat members that hold more than their extents. They must
// have been found apart.
func (s *shelf) leftovers() []formats.Finding {
	var out []formats.Finding
	for _, h := range s.held {
		if rest := h.Size - h.used[len(h.used)-1].End; rest > 0 {
			out = append(out, overlay.Findings(h.Name, []formats.Finding{formats.Note(errcode.VMDKDescriptor, formats.SeverityWarning,
				fmt.Sprintf("%d bytes at the end belong to no extent", rest),
				errcode.Evidence{Format: string(formats.VMDK), Field: "size", Value: fmt.Sprint(h.Size), Limit: fmt.Sprint(h.Size - rest)})})...)
		}
	}
	return out
}

// openPiece opens a sparse extent of n bytes that is one of several. Such a file
// has no descriptor, or an empty one.
func openPiece(m formats.Member, n int64, lim formats.Limits) (formats.Disk, error) {
	head, err := binio.ReadRange(m.R, m.Size, 0, sectorBytes, sectorBytes)
	if err != nil {
		return nil, place{"sparse extent header", "", 0}.unread(err)
	}
	switch {
	case bytes.HasPrefix(head, []byte(magicCOWD)), bytes.HasPrefix(head, []byte(magicSE)):
		return nil, place{"file", "magic", 0}.refuse(errcode.VMDKSubformat, fmt.Sprintf("%q", head[:4]), magicSparse, "the file is an extent of a snapshot on ESXi")
	case !bytes.HasPrefix(head, []byte(magicSparse)):
		return nil, place{"file", "magic", 0}.refuse(errcode.MemberMismatch, fmt.Sprintf("%q", head[:4]), magicSparse, "the file is not a sparse extent")
	}
	h := decodeHeader(head, 0)
	if err := h.checkExtent(lim); err != nil {
		return nil, err
	}
	if h.flags&flagCompressed != 0 || h.gdOffset == gdAtEnd {
		return nil, h.refuse(errcode.VMDKSubformat, "flags", 8, fmt.Sprintf("%#x", h.flags), "", "a compressed extent cannot be one of several")
	}
	if h.capacity != uint64(n/sectorBytes) {
		return nil, h.refuse(errcode.MemberMismatch, "capacity", 12, h.capacity, fmt.Sprint(n/sectorBytes),
			"the extent has %d sectors, the descriptor says %d", h.capacity, n/sectorBytes)
	}
	if err := h.checkNoDescriptor(m, lim); err != nil {
		return nil, err
	}
	if err := h.checkOverHead(m.Size); err != nil {
		return nil, err
	}
	return newDisk(m.R, m.Size, lim, &h, nil, false)
}

// checkNoDescriptor refuses a file that describes a disk of its own. It sets
// descriptorSize to 0 if there is no room for a descriptor.
func (h *header) checkNoDescriptor(m formats.Member, lim formats.Limits) error {
	if h.descriptorOffset == 0 {
		h.descriptorSize = 0
		return nil
	}
	if err := h.checkDescriptor(lim); err != nil {
		return err
	}
	text, err := binio.ReadRange(m.R, m.Size, sectorBytes, min(int64(h.descriptorSize)*sectorBytes, lim.DescriptorBytes), lim.DescriptorBytes)
	if err != nil {
		return place{"descriptor", "", sectorBytes}.unread(err)
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	if len(bytes.TrimSpace(text)) > 0 {
		return place{"descriptor", "", sectorBytes}.refuse(errcode.MemberMismatch, clip(string(text[:min(len(text), 64)])), "empty",
			"the file has a descriptor, so it is a disk of its own")
	}
	return nil
}

// section returns n bytes of r from off on. It knows its holes if r does.
func section(r io.ReaderAt, off, n int64) io.ReaderAt {
	s := io.NewSectionReader(r, off, n)
	if finder, ok := r.(formats.DataFinder); ok {
		return &sparseSection{s, finder, off, n}
	}
	return s
}

type sparseSection struct {
	*io.SectionReader
	finder formats.DataFinder
	off, n int64
}

var _ formats.DataFinder = (*sparseSection)(nil)

// NextData returns the reader's first run of data, clipped to the section.
func (s *sparseSection) NextData(off int64) (start, end int64, err error) {
	start, end, err = s.finder.NextData(s.off + off)
	if err != nil {
		return 0, 0, err
	}
	if start >= end || start >= s.off+s.n {
		return s.n, s.n, nil
	}
	return max(start-s.off, off), min(end-s.off, s.n), nil
}
