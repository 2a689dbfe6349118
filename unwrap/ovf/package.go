package ovf

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"ingest/internal/binio"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
)

// A Disk is a disk of the machine.
type Disk struct {
	archive.Member
	ID       string // diskId
	Boot     bool   // the machine boots from it, as far as the descriptor tells
	Format   string // URI of the declared format, clipped; "" if there is none
	Capacity int64  // virtual size that the descriptor gives, bytes
}

// A Package is an opened OVA.
type Package struct {
	Name string // of the machine, printable, "" if it has none
	// Disks are in the order in which the machine has them: controller by
	// controller, on each by address; then those that no device names.
	Disks []Disk
	// Properties describe the machine in Glance's words: hw_firmware_type,
	// hw_disk_bus, hw_scsi_model, hw_vif_model, os_type. Keys and values are of
	// a fixed vocabulary.
	Properties map[string]string
	// Blank is how many disks the descriptor has that are empty and have no file.
	Blank int

	members  []archive.Member
	manifest []line
}

// Open reads the structure of an OVA: members, descriptor, manifest. The members'
// bytes are not read; Verify does.
func Open(r io.ReaderAt, size int64, tar archive.Limits, lim Limits) (*Package, error) {
	members, err := archive.Tar(r, size, tar)
	if err != nil {
		return nil, err
	}
	return FromMembers(members, tar, lim)
}

// FromMembers is Open for an archive whose members are known.
func FromMembers(members []archive.Member, tar archive.Limits, lim Limits) (*Package, error) {
	if len(members) == 0 {
		return nil, place("tar file", "first member").Refuse(errcode.OVANoOVF, nil, "NAME.ovf", "the archive has no member")
	}
	p := &Package{members: members}
	first := members[0]
	if !strings.HasSuffix(strings.ToLower(first.Name), ".ovf") {
		return nil, place("tar file", "first member").Refuse(errcode.OVANoOVF, archive.Clip(first.Name), "NAME.ovf", "the first member is %q and not an OVF descriptor", archive.Clip(first.Name))
	}
	text, err := read(first, lim.DescriptorBytes)
	if err != nil {
		return nil, err
	}
	d, err := Parse(text, lim)
	if err != nil {
		return nil, err
	}
	c := &chooser{p: p, d: d, tar: tar, files: map[string]archive.Member{}, used: map[string]bool{first.Name: true}}
	if err := c.choose(); err != nil {
		return nil, err
	}
	if err := p.readManifest(lim); err != nil {
		return nil, err
	}
	p.Name = printable(d.Name, d.ID)
	p.Properties = d.properties(p.Disks)
	return p, nil
}

// printable returns the first name that is not empty.
func printable(names ...string) string {
	for _, n := range names {
		if n = strings.TrimSpace(archive.Clip(n)); n != "" {
			return n
		}
	}
	return ""
}

// read returns a small member.
func read(m archive.Member, limit int64) ([]byte, error) {
	where := place(archive.Clip(m.Name), "length")
	where.Off = m.Off
	b, err := binio.ReadRange(m.Section(), m.Size, 0, m.Size, limit)
	if errors.Is(err, binio.ErrLimit) {
		return nil, where.Refuse(errcode.OVFTooLarge, m.Size, fmt.Sprint(limit), "%s has %d bytes", archive.Clip(m.Name), m.Size)
	}
	if err != nil {
		return nil, where.Unread(err)
	}
	return b, nil
}

// CheckCapacity holds the virtual size of the opened disk against what the
// descriptor says. Units of the descriptor may round it up.
func (d Disk) CheckCapacity(virtual int64) error {
	if virtual == d.Capacity {
		return nil
	}
	return place("DiskSection", "capacity").Refuse(errcode.OVACapacity, virtual, fmt.Sprint(d.Capacity),
		"disk %q has %d bytes, and the descriptor gives it %d", archive.Clip(d.Name), virtual, d.Capacity)
}

// A chooser holds the descriptor against the members.
type chooser struct {
	p     *Package
	d     *Descriptor
	tar   archive.Limits
	files map[string]archive.Member // by id
	used  map[string]bool           // members that something names
}

// choose finds the disks.
func (c *chooser) choose() error {
	for _, f := range c.d.Files {
		if err := c.file(f); err != nil {
			return err
		}
	}
	if err := c.strangers(); err != nil {
		return err
	}
	seen := map[string]bool{}
	taken := map[string]bool{}
	for _, e := range c.d.Disks {
		if seen[e.ID] {
			return place("DiskSection", "diskId").Refuse(errcode.OVFInvalid, archive.Clip(e.ID), "IDs that differ", "two disks have the ID %q", archive.Clip(e.ID))
		}
		seen[e.ID] = true
		if err := c.disk(e, taken); err != nil {
			return err
		}
	}
	if len(c.p.Disks) == 0 {
		return place("DiskSection", "Disk").Refuse(errcode.OVFInvalid, nil, "a disk with a file", "no disk of the machine has a file")
	}
	c.d.order(c.p.Disks)
	return nil
}

// file looks an element of References up among the members.
func (c *chooser) file(f File) error {
	where := place("References", "href")
	clipped := archive.Clip(f.Href)
	if remote(f.Href) {
		return where.Refuse(errcode.OVARemoteHref, clipped, "a file of the archive", "the descriptor names %q, which is elsewhere", clipped)
	}
	if err := archive.CheckName(f.Href, c.tar, where); err != nil {
		return err
	}
	if f.Compression != "" && f.Compression != "identity" || f.ChunkSize != "" {
		where.Field = "compression"
		return where.Refuse(errcode.CompressionMethod, archive.Clip(f.Compression), "none", "file %q is compressed or in pieces", clipped)
	}
	m, ok := c.member(f.Href)
	if !ok {
		return where.Refuse(errcode.OVAMemberMissing, clipped, "", "file %q is not in the archive", clipped)
	}
	where.Off = m.Off
	if f.Size != "" && f.Size != strconv.FormatInt(m.Size, 10) {
		where.Field = "size"
		return where.Refuse(errcode.OVAMemberSize, m.Size, archive.Clip(f.Size), "file %q has %d bytes, and the descriptor gives it %s", clipped, m.Size, archive.Clip(f.Size))
	}
	if _, twice := c.files[f.ID]; twice || c.used[f.Href] {
		return where.Refuse(errcode.OVADuplicate, clipped, "", "file %q or its ID is there twice", clipped)
	}
	c.files[f.ID], c.used[f.Href] = m, true
	return nil
}

// member finds a member by its exact name.
func (c *chooser) member(name string) (archive.Member, bool) {
	for _, m := range c.p.members {
		if m.Name == name {
			return m, true
		}
	}
	return archive.Member{}, false
}

// remote reports whether an href leads elsewhere: a scheme (RFC 3986, 3.1), or a
// host as in //host/path and \\host\share.
func remote(href string) bool {
	scheme, _, ok := strings.Cut(href, ":")
	letters := strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
	return ok && len(scheme) > 1 && letters || strings.HasPrefix(href, "//") || strings.HasPrefix(href, `\\`)
}

// strangers refuses members that nothing names, manifest and certificate apart.
func (c *chooser) strangers() error {
	special := map[string]bool{}
	for _, m := range c.p.members {
		if c.used[m.Name] {
			continue
		}
		kind := suffix(m.Name)
		if kind == "" || special[kind] {
			where := place("tar file", "name")
			where.Off = m.Off
			return where.Refuse(errcode.OVAUnreferenced, archive.Clip(m.Name), "", "the descriptor does not name member %q", archive.Clip(m.Name))
		}
		special[kind] = true
	}
	return nil
}

// suffix returns what kind of member beside the descriptor a name is of.
func suffix(name string) string {
	for _, s := range []string{".mf", ".cert"} {
		if strings.HasSuffix(strings.ToLower(name), s) {
			return s
		}
	}
	return ""
}

// disk takes an element of DiskSection.
func (c *chooser) disk(e DiskElement, taken map[string]bool) error {
	where := place("DiskSection", "fileRef")
	id := archive.Clip(e.ID)
	if e.ParentRef != "" {
		where.Field = "parentRef"
		return where.Refuse(errcode.OVADelta, archive.Clip(e.ParentRef), "none", "disk %q is a delta on another", id)
	}
	if e.FileRef == "" {
		c.p.Blank++
		return nil
	}
	m, ok := c.files[e.FileRef]
	if !ok {
		return where.Refuse(errcode.OVAMemberMissing, archive.Clip(e.FileRef), "", "disk %q has no file", id)
	}
	if taken[m.Name] {
		return where.Refuse(errcode.OVADuplicate, archive.Clip(m.Name), "", "two disks have file %q", archive.Clip(m.Name))
	}
	taken[m.Name] = true
	capacity, err := capacityOf(e.Capacity, e.Units)
	if err != nil {
		where.Field = "capacity"
		return where.Refuse(errcode.OVFInvalid, archive.Clip(e.Capacity+" "+e.Units), "a number of bytes", "disk %q has no sound capacity", id)
	}
	c.p.Disks = append(c.p.Disks, Disk{Member: m, ID: e.ID, Format: archive.Clip(e.Format), Capacity: capacity})
	return nil
}

var errUnits = errors.New("unknown unit")

// capacityOf reads a capacity in units of "byte", "byte * 2^n" (DSP0004,
// "Programmatic Units"), or the names that OVF 1.0 used.
func capacityOf(capacity, units string) (int64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(capacity), 10, 63)
	if err != nil {
		return 0, err
	}
	units = strings.ToLower(strings.ReplaceAll(units, " ", ""))
	var shift uint64
	switch units {
	case "", "byte", "bytes":
	case "kilobytes":
		shift = 10
	case "megabytes":
		shift = 20
	case "gigabytes":
		shift = 30
	default:
		power, ok := strings.CutPrefix(units, "byte*2^")
		if shift, err = strconv.ParseUint(power, 10, 8); !ok || err != nil {
			return 0, errUnits
		}
	}
	if shift > 62 || bits.Len64(n)+int(shift) > 63 {
		return 0, errUnits
	}
	return int64(n << shift), nil
}
