package vhd

import (
	"fmt"
	"io"

	"ingest/formats"
	"ingest/formats/overlay"
	"ingest/internal/errcode"
)

const (
	// maxChain is how many parents a disk may have; Hyper-V and XenServer stop
	// far below.
	maxChain = 64
	// clockSlack is how far clocks and time zones may be apart, seconds.
	clockSlack = 24 * 3600
)

// A link is one image of a chain.
type link struct {
	*image
	member string // "" for the image itself
	used   bool
}

// OpenSet opens a differencing disk whose parents, all of them and in any
// order, are the members. They are told apart by their unique ids; their names
// do not matter. A disk that has no parent takes no members.
func (f Format) OpenSet(r io.ReaderAt, size int64, members []formats.Member, lim formats.Limits) (formats.Disk, error) {
	if len(members) == 0 {
		return f.Open(r, size, lim)
	}
	if len(members) > maxChain {
		return nil, place{"chain", "", -1}.refuse(errcode.ParserLimit, len(members), fmt.Sprint(maxChain), "a chain of %d parents is too long", len(members))
	}
	img, err := openImage(r, size, lim, true)
	if err != nil {
		return nil, err
	}
	if img.footer.diskType != typeDifferencing {
		return nil, img.footer.refuse(errcode.MemberMismatch, "disk type", 60, img.footer.diskType, fmt.Sprint(typeDifferencing),
			"a %s disk has no parent; it has no member %s", subformat(img.footer.diskType), overlay.Quote(members[0].Name))
	}
	parents, err := openParents(members, lim)
	if err != nil {
		return nil, err
	}
	chain, err := connect(&link{image: img}, parents)
	if err != nil {
		return nil, err
	}
	base := chain[len(chain)-1]
	disk := overlay.Named(base.disk, base.member)
	cache := lim.CacheBytes / int64(len(chain))
	for i := len(chain) - 2; i >= 0; i-- {
		disk = overlay.New(disk, newLayer(chain[i].blocks, chain[i].member, cache))
	}
	return disk, nil
}

// openParents opens the members, in their order.
func openParents(members []formats.Member, lim formats.Limits) ([]*link, error) {
	var parents []*link
	for _, m := range members {
		img, err := openImage(m.R, m.Size, lim, true)
		if err != nil {
			return nil, overlay.In(m.Name, err)
		}
		id := img.footer.uniqueID
		if other := find(parents, id); other != nil {
			return nil, overlay.In(m.Name, img.footer.refuse(errcode.MemberMismatch, "unique id", 68, idText(id), "",
				"it has the same unique id %s as member %s", idText(id), overlay.Quote(other.member)))
		}
		parents = append(parents, &link{image: img, member: m.Name})
	}
	return parents, nil
}

// find returns the image with the unique id, nil if there is none.
func find(parents []*link, id [16]byte) *link {
	for _, p := range parents {
		if p.footer.uniqueID == id {
			return p
		}
	}
	return nil
}

// connect returns the chain from the child to the one that has no parent. Every
// parent must be part of it.
func connect(child *link, parents []*link) ([]*link, error) {
	chain := []*link{child}
	seen := map[[16]byte]bool{child.footer.uniqueID: true}
	for cur := child; cur.footer.diskType == typeDifferencing; {
		id := cur.header.parentID
		next := find(parents, id)
		in := func(code errcode.Code, limit, format string, args ...any) error {
			return cur.in(cur.header.refuse(code, "parent unique id", 40, idText(id), limit, format, args...))
		}
		switch {
		case id == [16]byte{}:
			return nil, in(errcode.VHDHeader, "", "a differencing disk names no parent")
		case seen[id]:
			return nil, in(errcode.VHDHeader, "", "the chain of parents is a circle")
		case next == nil:
			return nil, in(errcode.MemberMissing, "", "the parent %s with unique id %s was not given", overlay.Quote(cur.header.parentName), idText(id))
		}
		if err := cur.fits(next); err != nil {
			return nil, err
		}
		seen[id], next.used = true, true
		chain = append(chain, next)
		cur = next
	}
	for _, p := range parents {
		if !p.used {
			return nil, p.in(p.footer.refuse(errcode.MemberMismatch, "unique id", 68, idText(p.footer.uniqueID), "", "no disk of the chain has the member %s as its parent", overlay.Quote(p.member)))
		}
	}
	return chain, nil
}

func (l *link) in(err error) error {
	if l.member == "" {
		return err
	}
	return overlay.In(l.member, err)
}

// fits holds a child against its parent. A child may be longer, since XenServer
// enlarges disks that have snapshots; then zeros follow its parent's end.
func (l *link) fits(parent *link) error {
	size, under := l.footer.currentSize, parent.footer.currentSize
	if under > size {
		return l.in(l.footer.refuse(errcode.VHDSizeMismatch, "current size", 48, size, fmt.Sprintf("%d or more", under),
			"the disk has %d bytes and its parent %s has %d", size, overlay.Quote(parent.member), under))
	}
	note := func(code errcode.Code, at place, value any, format string, args ...any) {
		l.blocks.info.Findings = append(l.blocks.info.Findings, formats.Note(code, formats.SeverityWarning, fmt.Sprintf(format, args...),
			errcode.Evidence{Format: string(formats.VHD), Structure: at.structure, Field: at.field, Offset: errcode.At(at.off), Value: fmt.Sprint(value)}))
	}
	if under < size {
		note(errcode.VHDSizeMismatch, place{l.footer.name, "current size", l.footer.at + 48}, size,
			"the disk has %d bytes and its parent %s only %d; zeros follow", size, overlay.Quote(parent.member), under)
	}
	// The parent's own last modification is not in its file, but it cannot be
	// before its creation.
	made, seen := int64(parent.footer.timeStamp), int64(l.header.parentTime)
	if made != 0 && seen != 0 && made > seen+clockSlack {
		note(errcode.VHDHeader, place{"dynamic disk header", "parent time stamp", l.header.at + 56}, seen,
			"the parent %s was created after the disk took it as its parent; it may have been replaced by another", overlay.Quote(parent.member))
	}
	return nil
}

// idText writes a unique id as people know it.
func idText(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
