package vhdx

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	metadataMagic      = "metadata"
	metadataTableBytes = 64 * kib
	maxItems           = 2047
	maxUserItems       = 1024
	maxItemBytes       = mib

	minBlockBytes = mib
	maxBlockBytes = 256 * mib
	// maxVirtualBytes is the format's own limit (2.6.2.2), 64 TiB.
	maxVirtualBytes = 64 << 40
)

// Flags of a metadata table entry (2.6.1.2).
const (
	itemIsUser     = 1 << 0
	itemIsRequired = 1 << 2
)

// Flags of the file parameters (2.6.2.1).
const (
	leaveBlockAllocated = 1 << 0
	hasParent           = 1 << 1
)

// An itemKind is a metadata item that is known (2.6.2).
type itemKind int

const (
	fileParameters itemKind = iota
	virtualDiskSize
	virtualDiskID
	logicalSectorSize
	physicalSectorSize
	parentLocator
	itemKinds
)

// An itemSpec says what a known item must be.
type itemSpec struct {
	id     guid
	name   string
	length int64 // bytes; 0 if it varies
}

// spec returns what the kind's item must be.
func (k itemKind) spec() itemSpec {
	return [itemKinds]itemSpec{
		{guid{0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B}, "file parameters", 8},
		{guid{0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8}, "virtual disk size", 8},
		{guid{0xAB, 0x12, 0xCA, 0xBE, 0xE6, 0xB2, 0x23, 0x45, 0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7, 0x46}, "virtual disk ID", 16},
		{guid{0x1D, 0xBF, 0x41, 0x81, 0x6F, 0xA9, 0x09, 0x47, 0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F}, "logical sector size", 4},
		{guid{0xC7, 0x48, 0xA3, 0xCD, 0x5D, 0x44, 0x71, 0x44, 0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51, 0xC5, 0x56}, "physical sector size", 4},
		{guid{0x2D, 0x5F, 0xD3, 0xA8, 0x0B, 0xB3, 0x4D, 0x45, 0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB, 0x0C}, "parent locator", 0},
	}[k]
}

// metadata is what the known items say.
type metadata struct {
	blockSize    uint32
	flags        uint32 // of the file parameters
	size         uint64 // virtual size, bytes
	logical      uint32 // sector size, bytes
	physical     uint32
	parents      []string                 // paths of the parent locator
	linkage      [2]string                // parent_linkage and parent_linkage2 of it, "" if absent
	at           [itemKinds]formats.Range // host bytes of each item
	has          [itemKinds]bool
	locatorKnown bool // the parent locator is of the type that the specification defines
}

// readMetadata reads the metadata table (2.6.1), checks all of its entries and
// reads the known items.
func readMetadata(img *image, region formats.Range, lim formats.Limits) (*metadata, error) {
	where := place{"metadata table", "", region.Off}
	p, err := binio.ReadRange(img, region.End, region.Off, metadataTableBytes, metadataTableBytes)
	if err != nil {
		return nil, where.unread(err)
	}
	if string(p[:8]) != metadataMagic {
		return nil, where.refuse(errcode.VHDXMetadata, fmt.Sprintf("%q", p[:8]), metadataMagic, "the metadata table has no signature")
	}
	n := int64(binary.LittleEndian.Uint16(p[10:]))
	if n > maxItems {
		return nil, place{"metadata table", "EntryCount", region.Off + 10}.refuse(errcode.VHDXMetadata, n, fmt.Sprint(maxItems), "a metadata table of %d entries", n)
	}
	m := &metadata{}
	if err := m.locate(p, n, region); err != nil {
		return nil, err
	}
	for k := range parentLocator {
		if !m.has[k] {
			return nil, where.refuse(errcode.VHDXMetadata, nil, "", "the metadata have no %s", k.spec().name)
		}
	}
	if err := m.read(img, lim); err != nil {
		return nil, err
	}
	return m, m.check(lim)
}

// locate checks the n entries of the table and notes where the known items
// lie.
func (m *metadata) locate(table []byte, n int64, region formats.Range) error {
	type key struct {
		id   guid
		user bool
	}
	seen := make(map[key]bool, n)
	items := make([]formats.Range, 0, n)
	users := 0
	for i := range n {
		q := table[32+32*i:]
		id, flags := guid(q[:16]), binary.LittleEndian.Uint32(q[24:])
		off, length := int64(binary.LittleEndian.Uint32(q[16:])), int64(binary.LittleEndian.Uint32(q[20:]))
		user := flags&itemIsUser != 0
		where := place{fmt.Sprintf("metadata table entry %d", i), "ItemID", region.Off + 32 + 32*i}
		if seen[key{id, user}] {
			return where.refuse(errcode.VHDXMetadata, id, "", "metadata item %s stands twice in the table", id)
		}
		seen[key{id, user}] = true
		if user {
			users++
		}
		if err := checkItem(off, length, region, where); err != nil {
			return err
		}
		at := formats.Range{Off: region.Off + off, End: region.Off + off + length}
		if length > 0 {
			items = append(items, at)
		}
		if err := m.note(id, flags, at, where); err != nil {
			return err
		}
	}
	where := place{"metadata table", "", region.Off}
	if users > maxUserItems {
		return where.refuse(errcode.VHDXMetadata, users, fmt.Sprint(maxUserItems), "%d items of user metadata", users)
	}
	sort.Slice(items, func(i, j int) bool { return items[i].Off < items[j].Off })
	for i := 1; i < len(items); i++ {
		if items[i].Off < items[i-1].End {
			return where.refuse(errcode.VHDXMetadata, items[i].Off-region.Off, "", "two metadata items overlap at %d", items[i].Off)
		}
	}
	return nil
}

// checkItem holds offset and length of an item against the region.
func checkItem(off, length int64, region formats.Range, where place) error {
	switch {
	case length == 0 && off == 0:
		return nil
	case length > maxItemBytes:
		return where.refuse(errcode.VHDXMetadata, length, fmt.Sprint(maxItemBytes), "a metadata item of %d bytes", length)
	case off < metadataTableBytes || off > region.Len() || length > region.Len()-off:
		return where.refuse(errcode.VHDXMetadata, fmt.Sprintf("%d, +%d", off, length), fmt.Sprintf("%d to %d", metadataTableBytes, region.Len()),
			"a metadata item lies outside the metadata region")
	}
	return nil
}

// note remembers where a known item lies, and refuses an unknown one that is
// required.
func (m *metadata) note(id guid, flags uint32, at formats.Range, where place) error {
	for k := range itemKinds {
		s := k.spec()
		if id != s.id || flags&itemIsUser != 0 {
			continue
		}
		if s.length != 0 && at.Len() != s.length {
			return where.refuse(errcode.VHDXMetadata, at.Len(), fmt.Sprint(s.length), "the item %s has %d bytes", s.name, at.Len())
		}
		m.at[k], m.has[k] = at, true
		return nil
	}
	if flags&itemIsRequired != 0 {
		return where.refuse(errcode.VHDXMetadata, id, "", "the disk needs metadata item %s, which is unknown", id)
	}
	return nil
}

// read reads the known items.
func (m *metadata) read(r io.ReaderAt, lim formats.Limits) error {
	get := func(k itemKind, limit int64) ([]byte, error) {
		p, err := binio.ReadRange(r, m.at[k].End, m.at[k].Off, m.at[k].Len(), limit)
		if err != nil {
			return nil, place{k.spec().name, "", m.at[k].Off}.unread(err)
		}
		return p, nil
	}
	le := binary.LittleEndian
	for k := range parentLocator {
		p, err := get(k, 16)
		if err != nil {
			return err
		}
		switch k {
		case fileParameters:
			m.blockSize, m.flags = le.Uint32(p), le.Uint32(p[4:])
		case virtualDiskSize:
			m.size = le.Uint64(p)
		case logicalSectorSize:
			m.logical = le.Uint32(p)
		case physicalSectorSize:
			m.physical = le.Uint32(p)
		}
	}
	if !m.has[parentLocator] {
		return nil
	}
	p, err := get(parentLocator, lim.DescriptorBytes)
	if err != nil {
		return err
	}
	return m.readLocator(p)
}

func (m *metadata) refuse(code errcode.Code, k itemKind, value any, limit, format string, args ...any) error {
	return place{k.spec().name, "", m.at[k].Off}.refuse(code, value, limit, format, args...)
}

// check holds the items against the format and the limits.
func (m *metadata) check(lim formats.Limits) error {
	if m.blockSize < minBlockBytes || m.blockSize > maxBlockBytes || m.blockSize&(m.blockSize-1) != 0 {
		return m.refuse(errcode.VHDXMetadata, fileParameters, m.blockSize, "a power of two, 1 to 256 MiB", "block size of %d bytes is not supported", m.blockSize)
	}
	if unknown := m.flags &^ (leaveBlockAllocated | hasParent); unknown != 0 {
		return m.refuse(errcode.VHDXMetadata, fileParameters, hex(uint64(m.flags)), "0x3", "the file parameters have unknown flags %#x", unknown)
	}
	if m.logical != 512 && m.logical != 4096 {
		return m.refuse(errcode.VHDXMetadata, logicalSectorSize, m.logical, "512 or 4096", "logical sectors of %d bytes", m.logical)
	}
	if m.physical != 512 && m.physical != 4096 {
		return m.refuse(errcode.VHDXMetadata, physicalSectorSize, m.physical, "512 or 4096", "physical sectors of %d bytes", m.physical)
	}
	limit := min(maxVirtualBytes, lim.VirtualSize)
	switch {
	case m.size == 0:
		return m.refuse(errcode.VirtualSizeZero, virtualDiskSize, 0, "", "the disk has no bytes")
	case m.size > uint64(max(0, limit)):
		return m.refuse(errcode.VirtualSizeTooLarge, virtualDiskSize, m.size, fmt.Sprint(limit), "virtual size is %d bytes", m.size)
	case m.size%uint64(m.logical) != 0:
		return m.refuse(errcode.SizeUnaligned, virtualDiskSize, m.size, fmt.Sprintf("a multiple of %d", m.logical), "virtual size of %d bytes is not one of whole sectors", m.size)
	}
	if m.child() && !m.has[parentLocator] {
		return m.refuse(errcode.VHDXMetadata, fileParameters, hex(uint64(m.flags)), "", "the disk has a parent and no parent locator")
	}
	return nil
}

// child reports whether the disk has a parent.
func (m *metadata) child() bool { return m.flags&hasParent != 0 }

// subformat names the kind of disk.
func (m *metadata) subformat() string {
	switch {
	case m.child():
		return "differencing"
	case m.flags&leaveBlockAllocated != 0:
		return "fixed"
	default:
		return "dynamic"
	}
}
