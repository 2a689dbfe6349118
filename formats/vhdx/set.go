package vhdx

import (
	"fmt"
	"io"
	"slices"

	"ingest/formats"
	"ingest/formats/overlay"
	"ingest/internal/errcode"
)

// maxChain is how many parents a disk may have; Hyper-V keeps at most 50
// checkpoints of a machine.
const maxChain = 64

// OpenSet opens a differencing disk whose parents, in any order, are the
// members. A parent is known by its DataWriteGuid (2.2.2), which its child's
// parent locator holds; names and paths mean nothing. A disk that has no parent
// takes no members.
func (f Format) OpenSet(r io.ReaderAt, size int64, members []formats.Member, lim formats.Limits) (formats.Disk, error) {
	if len(members) == 0 {
		return f.Open(r, size, lim)
	}
	if len(members) > maxChain {
		return nil, place{"chain", "", -1}.refuse(errcode.ParserLimit, len(members), fmt.Sprint(maxChain), "a chain of %d parents is too long", len(members))
	}
	lim.CacheBytes /= int64(len(members) + 1) // each file keeps its own cache
	child, err := openFile(r, size, maxLogBytes, lim)
	if err != nil {
		return nil, err
	}
	if !child.meta.child() {
		return nil, place{"file parameters", "HasParent", child.meta.at[fileParameters].Off + 4}.refuse(errcode.MemberMismatch, overlay.Quote(members[0].Name), "none",
			"the disk has no parent; it has no member %s", overlay.Quote(members[0].Name))
	}
	s, err := newShelf(members)
	if err != nil {
		return nil, err
	}
	chain, err := s.chain(child, lim)
	if err != nil {
		return nil, err
	}
	return compose(chain, lim)
}

// A link is a file of a chain.
type link struct {
	*file
	member string // "" for the child that is asked for
}

// compose lays the files of a chain, the child first, over each other.
func compose(chain []link, lim formats.Limits) (formats.Disk, error) {
	last := chain[len(chain)-1]
	base, err := newDisk(last.file, lim)
	if err != nil {
		return nil, within(last.member, err)
	}
	out := overlay.Named(base, last.member)
	for i := len(chain) - 2; i >= 0; i-- {
		l, err := newLayer(chain[i].file, chain[i].member, lim)
		if err != nil {
			return nil, within(chain[i].member, err)
		}
		out = overlay.New(out, l)
	}
	return out, nil
}

// A shelf holds the members that are to be parents, by their DataWriteGuid.
type shelf struct {
	held []formats.Member
	byID map[guid]int // index of held
	used []bool
}

// newShelf reads the members' headers.
func newShelf(members []formats.Member) (*shelf, error) {
	s := &shelf{members, make(map[guid]int, len(members)), make([]bool, len(members))}
	for i, m := range members {
		if _, err := readIdentifier(m.R, m.Size); err != nil {
			return nil, overlay.In(m.Name, err)
		}
		h, err := readHeader(m.R, m.Size)
		if err != nil {
			return nil, overlay.In(m.Name, err)
		}
		if other, twice := s.byID[h.dataGUID]; twice {
			return nil, overlay.In(m.Name, h.refuse(errcode.MemberMismatch, "DataWriteGuid", 32, h.dataGUID, "",
				"it has the same DataWriteGuid %s as member %s", h.dataGUID, overlay.Quote(members[other].Name)))
		}
		s.byID[h.dataGUID] = i
	}
	return s, nil
}

// chain returns the child and its parents, the child first. It takes all
// members.
func (s *shelf) chain(child *file, lim formats.Limits) ([]link, error) {
	logs := maxLogBytes - child.logBytes()
	chain := []link{{child, ""}}
	for at := chain[0]; at.meta.child(); at = chain[len(chain)-1] {
		i, err := s.parentOf(at, chain)
		if err != nil {
			return nil, within(at.member, err)
		}
		s.used[i] = true
		m := s.held[i]
		f, err := openFile(m.R, m.Size, logs, lim)
		if err == nil {
			err = f.bears(at.file)
		}
		if err != nil {
			return nil, overlay.In(m.Name, err)
		}
		logs -= f.logBytes()
		f.parent = true
		chain = append(chain, link{f, m.Name})
	}
	for i, m := range s.held {
		if !s.used[i] {
			return nil, overlay.In(m.Name, place{"header", "DataWriteGuid", -1}.refuse(errcode.MemberMismatch, nil, "",
				"no disk of the chain has the member %s as its parent", overlay.Quote(m.Name)))
		}
	}
	return chain, nil
}

// parentOf returns which member is the parent of the last file of the chain, in
// which it is not yet: no chain runs in a circle.
func (s *shelf) parentOf(at link, chain []link) (int, error) {
	ids, err := at.meta.parentIDs()
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if i, ok := s.byID[id]; ok && !s.used[i] {
			return i, nil
		}
	}
	refuse := func(code errcode.Code, format string, args ...any) error {
		return place{parentLocator.spec().name, linkages()[0], at.meta.at[parentLocator].Off}.refuse(code, ids[0], "", format, args...)
	}
	for _, c := range chain {
		if slices.Contains(ids, c.header.dataGUID) {
			return 0, refuse(errcode.VHDXMetadata, "the chain of parents is a circle")
		}
	}
	why := ""
	if slices.Contains(s.used, false) {
		why = ", or has been changed since the disk took it as its parent"
	}
	return 0, refuse(errcode.MemberMissing, "the parent%s with DataWriteGuid %s was not given%s", named(at.meta), ids[0], why)
}

// parentIDs returns the GUIDs of which the parent must have one, at least one.
func (m *metadata) parentIDs() ([]guid, error) {
	if !m.locatorKnown {
		return nil, m.refuse(errcode.VHDXDifferencing, parentLocator, nil, locatorVHDX().String(), "the disk's parent is not a VHDX")
	}
	var ids []guid
	for i, key := range linkages() {
		value := m.linkage[i]
		if value == "" && i > 0 {
			continue
		}
		id, ok := parseGUID(value)
		if !ok {
			return nil, m.refuse(errcode.VHDXMetadata, parentLocator, overlay.Quote(value), "", "the parent locator's %s is not a GUID in braces", key)
		}
		if id != (guid{}) { // which identifies nothing
			ids = append(ids, id)
		}
	}
	if ids == nil {
		return nil, m.refuse(errcode.VHDXMetadata, parentLocator, guid{}, "", "the parent locator does not say which disk the parent is")
	}
	return ids, nil
}

// bears refuses a parent that does not fit its child (2.6.2.4).
func (f *file) bears(child *file) error {
	p, c := f.meta, child.meta
	if p.size != c.size {
		return p.refuse(errcode.MemberMismatch, virtualDiskSize, p.size, fmt.Sprint(c.size), "virtual size is %d bytes, the child's is %d", p.size, c.size)
	}
	if p.logical != c.logical {
		return p.refuse(errcode.MemberMismatch, logicalSectorSize, p.logical, fmt.Sprint(c.logical), "logical sectors have %d bytes, the child's have %d", p.logical, c.logical)
	}
	return nil
}

// logBytes returns how many bytes of log are held in memory.
func (f *file) logBytes() int64 {
	if !f.header.dirty() {
		return 0
	}
	return f.header.log().Len()
}
