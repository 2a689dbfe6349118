package ova

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Bounds on what an OVA may hold. Real ones have a handful of members.
const (
	maxMembers  = 256
	maxManifest = 64 << 10
)

// An Entry is a disk of an OVA.
type Entry struct {
	Name   string       // of the member
	Off    int64        // host offset of the member's first byte
	Size   int64        // of the member, bytes
	Format string       // URI that the descriptor gives
	Disk   formats.Disk // its host offsets count from Off
}

// A Package is an opened OVA.
type Package struct {
	Name  string  // what the descriptor calls the machine
	Disks []Entry // in the order of the descriptor's DiskSection

	r        io.ReaderAt
	manifest map[string]digest
	members  map[string]part
}

// A part is a member of the tar file.
type part struct{ off, size int64 }

// Open reads an OVA and opens its disks with open, which is given the member's name
// and its bytes. It shares no code with the Encoder. Nothing but members of the
// file itself is opened, and what they are called is never a path. A disk whose
// size is not what the descriptor says refuses the OVA. Verify takes the digests.
func Open(r io.ReaderAt, size int64, lim formats.Limits,
	open func(name string, r io.ReaderAt, size int64) (formats.Disk, error)) (*Package, error) {
	p := &Package{r: r, members: map[string]part{}}
	first, err := p.walk(size)
	if err != nil {
		return nil, err
	}
	text, err := p.read(first, lim.DescriptorBytes)
	if err != nil {
		return nil, err
	}
	e, err := parse(text)
	if err != nil {
		return nil, err
	}
	p.Name = e.System.Name
	if err := p.readManifest(strings.TrimSuffix(first, ".ovf") + ".mf"); err != nil {
		return nil, err
	}
	wanted, err := p.choose(e, first)
	if err != nil {
		return nil, err
	}
	for _, w := range wanted {
		if err := p.openDisk(w, open); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Close closes the disks.
func (p *Package) Close() error {
	var all []error
	for _, d := range p.Disks {
		all = append(all, d.Disk.Close())
	}
	return errors.Join(all...)
}

// place is where something is wrong.
func place(structure, field string, off int64) formats.Place {
	return formats.Place{Format: container, Structure: structure, Field: field, Off: off}
}

// walk reads the members' headers and returns the first one's name.
func (p *Package) walk(size int64) (string, error) {
	s := io.NewSectionReader(p.r, 0, size)
	t := tar.NewReader(s)
	first := ""
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF && n > 0 {
			return first, nil
		}
		// archive/tar reads whole blocks, so that the offset is that of the data.
		at, _ := s.Seek(0, io.SeekCurrent)
		where := place("tar header", "", at)
		switch {
		case err != nil:
			return "", unreadable(where, err)
		case n == maxMembers:
			return "", where.Refuse(errcode.ParserLimit, nil, fmt.Sprint(maxMembers), "there are too many members")
		}
		if n == 0 {
			first = h.Name
			if !strings.HasSuffix(first, ".ovf") {
				return "", where.Refuse(errcode.FormatMismatch, clip(first), "NAME.ovf", "the first member is not an OVF descriptor")
			}
		}
		if err := p.add(h, at, size); err != nil {
			return "", err
		}
	}
}

// unreadable gives an error of archive/tar its code.
func unreadable(where formats.Place, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return where.Refuse(errcode.FormatMismatch, nil, "", "the tar file has no member")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return where.Refuse(errcode.Truncated, nil, "", "the tar file ends within a member")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return where.Refuse(errcode.FormatMismatch, nil, "", "there is no sound tar header: %v", err)
	}
	return fmt.Errorf("read %s: %w", container, err)
}

// add notes a member: a regular file with a base name that no other has.
func (p *Package) add(h *tar.Header, at, size int64) error {
	where := place("tar header", "name", at)
	_, twice := p.members[h.Name]
	switch {
	case h.Typeflag != tar.TypeReg || len(h.PAXRecords) > 0:
		where.Field = "typeflag"
		return where.Refuse(errcode.FormatMismatch, string(rune(h.Typeflag)), "regular files", "member %q is not a plain file", clip(h.Name))
	case !baseName(h.Name):
		return where.Refuse(errcode.FormatMismatch, clip(h.Name), "a file name without a folder", "member %q", clip(h.Name))
	case twice:
		return where.Refuse(errcode.MemberMismatch, clip(h.Name), "names that differ", "member %q is there twice", clip(h.Name))
	case h.Size > size-at:
		return where.Refuse(errcode.Truncated, h.Size, fmt.Sprint(size-at), "member %q reaches past the end", clip(h.Name))
	}
	p.members[h.Name] = part{off: at, size: h.Size}
	return nil
}

// baseName reports whether a name names no folder.
func baseName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 255 && !strings.ContainsAny(s, "/\\:\x00\r\n")
}

// read returns a small member.
func (p *Package) read(name string, limit int64) ([]byte, error) {
	m := p.members[name]
	b, err := binio.ReadRange(p.r, m.off+m.size, m.off, m.size, limit)
	where := place(clip(name), "", m.off)
	if errors.Is(err, binio.ErrLimit) {
		return nil, where.Refuse(errcode.ParserLimit, m.size, fmt.Sprint(limit), "%s has %d bytes", clip(name), m.size)
	}
	if err != nil {
		return nil, where.Unread(err)
	}
	return b, nil
}

// openDisk opens a disk that was chosen.
func (p *Package) openDisk(w chosen, open func(string, io.ReaderAt, int64) (formats.Disk, error)) error {
	m := p.members[w.name]
	d, err := open(w.name, io.NewSectionReader(p.r, m.off, m.size), m.size)
	if err != nil {
		return err
	}
	p.Disks = append(p.Disks, Entry{Name: w.name, Off: m.off, Size: m.size, Format: w.format, Disk: d})
	if d.Size() != w.capacity {
		return place("DiskSection", "capacity", -1).Refuse(errcode.MemberMismatch, w.capacity, fmt.Sprint(d.Size()),
			"the descriptor gives disk %q other bytes than it has", clip(w.name))
	}
	return nil
}
