package vhd

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// under makes a Format that opens a child with one parent.
type under struct {
	Format
	parent []byte
}

func (u under) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	return u.OpenSet(r, size, []formats.Member{{Name: "parent.vhd", R: bytes.NewReader(u.parent), Size: int64(len(u.parent))}}, lim)
}

// over makes a Format that opens a parent under one child.
type over struct {
	Format
	child []byte
}

func (o over) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	return o.OpenSet(bytes.NewReader(o.child), int64(len(o.child)), []formats.Member{{Name: "parent.vhd", R: r, Size: size}}, lim)
}

// pair is a child with its parent, all of whose blocks are stored.
func pair() (child, parent []byte) {
	rng := rand.New(rand.NewPCG(11, 12))
	c, p := random(rng, typeDifferencing, 2, 1, 1<<20, 256<<10), random(rng, typeDynamic, 1, 0, 1<<20, 256<<10)
	for i := range c.allocated {
		c.allocated[i], p.allocated[i] = true, true
	}
	return c.bytes(), p.bytes()
}

func TestRefusedChild(t *testing.T) {
	child, parent := pair()
	formattest.Refused(t, under{parent: parent}, child, []formattest.Bad{
		{Name: "checksum", Make: formattest.Set(100, 1), Want: errcode.VHDChecksum},
		{Name: "fixed", Make: foot(60, be32(typeFixed)...), Want: errcode.VHDHeader},
		{Name: "dynamic", Make: foot(60, be32(typeDynamic)...), Want: errcode.MemberMismatch},
		{Name: "type 7", Make: foot(60, be32(7)...), Want: errcode.VHDHeader},
		{Name: "saved state", Make: foot(84, 1), Want: errcode.VHDSavedState},
		{Name: "another parent", Make: head(55, 7), Want: errcode.MemberMissing},
		{Name: "shorter than its parent", Make: foot(48, be64(1<<20-512)...), Want: errcode.VHDSizeMismatch},
		{Name: "block past the end", Make: bat(2, sector(0x10000000)), Want: errcode.Truncated},
		{Name: "bitmap ends the file", Make: func(b []byte) []byte { return bat(2, sector(uint32(len(b)/512)-1))(b) }, Want: errcode.Truncated},
		{Name: "block in the header", Make: bat(2, sector(1)), Want: errcode.AliasedBlocks},
		{Name: "two blocks in one place", Make: bat(2, func(b []byte) uint32 { return entryOf(b, 1) }), Want: errcode.AliasedBlocks},
	})
}

func TestRefusedParent(t *testing.T) {
	child, parent := pair()
	formattest.Refused(t, over{child: child}, parent, []formattest.Bad{
		{Name: "no vhd", Make: func(b []byte) []byte { return make([]byte, 4096) }, Want: errcode.FormatMismatch},
		{Name: "empty", Make: func(b []byte) []byte { return nil }, Want: errcode.FormatMismatch},
		{Name: "checksum", Make: formattest.Set(100, 1), Want: errcode.VHDChecksum},
		{Name: "saved state", Make: foot(84, 1), Want: errcode.VHDSavedState},
		{Name: "another id", Make: foot(83, 7), Want: errcode.MemberMissing},
		{Name: "the child's id", Make: foot(83, 2), Want: errcode.MemberMissing},
		{Name: "longer than the child", Make: func(b []byte) []byte { return foot(48, be64(1<<20+512)...)(head(28, be32(5)...)(b)) }, Want: errcode.VHDSizeMismatch},
		{Name: "size above the limit", Make: same, Want: errcode.VirtualSizeTooLarge, Limits: small(func(l *formats.Limits) { l.VirtualSize = 1<<20 - 1 })},
		{Name: "block past the end", Make: bat(2, sector(0x10000000)), Want: errcode.Truncated},
		{Name: "two blocks in one place", Make: bat(2, func(b []byte) uint32 { return entryOf(b, 1) }), Want: errcode.AliasedBlocks},
	})
}

// lost fails from a number of reads on.
type lost struct {
	io.ReaderAt
	after int
	err   error
}

func (r *lost) ReadAt(p []byte, off int64) (int, error) {
	if r.after--; r.after < 0 {
		return 0, r.err
	}
	return r.ReaderAt.ReadAt(p, off)
}

func TestErrorsOfAParentKeepTheirCodeAndNameIt(t *testing.T) {
	child, parent := pair()
	gone := errcode.New(errcode.SourceUnreachable, "the source stopped answering")
	for after := range 6 {
		r := &lost{bytes.NewReader(parent), after, gone}
		d, err := Format{}.OpenSet(bytes.NewReader(child), int64(len(child)), []formats.Member{{Name: "p.vhd", R: r, Size: int64(len(parent))}}, formats.DefaultLimits())
		for err == nil {
			_, err = d.ReadAt(make([]byte, 1<<20), 0)
		}
		if errcode.Of(err) != errcode.SourceUnreachable || !strings.Contains(err.Error(), `"p.vhd"`) {
			t.Errorf("reader fails at read %d: %v", after, err)
		}
	}
}

func TestBitmapsAreReadOnce(t *testing.T) {
	child, parent := pair()
	r := &lost{bytes.NewReader(child), 1 << 20, nil}
	d, err := Format{}.OpenSet(r, int64(len(child)), []formats.Member{{Name: "p.vhd", R: bytes.NewReader(parent), Size: int64(len(parent))}}, formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	r.after = 4 // blocks
	for range 3 {
		for off := int64(0); off < d.Size(); off += 512 {
			if _, err := d.ExtentAt(off); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r.after != 0 {
		t.Errorf("%d of 4 bitmaps were never read", r.after)
	}
}

func TestChainWithACacheOfOneBitmap(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	chain := []made{random(rng, typeDifferencing, 2, 1, 1<<20, 4096), random(rng, typeDynamic, 1, 0, 1<<20, 4096)}
	child, want := chain[0].bytes(), shows(chain...)
	lim := formats.DefaultLimits()
	lim.CacheBytes = 0
	d, err := Format{}.OpenSet(bytes.NewReader(child), int64(len(child)), membersOf(chain[1]), lim)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	imgtest.ReadFull(t, d, got, 0)
	if !bytes.Equal(got, want) {
		t.Error("blocks take each other's bitmaps")
	}
}

// A chain of empty disks costs a bounded number of looks at the BATs.
func TestHolesOfALargeChain(t *testing.T) {
	be := binary.BigEndian
	const size = 2040 << 30
	empty := func(kind uint32, id, parent byte) []byte {
		m := made{kind: kind, id: id, parent: parent, size: size, block: 2 << 20}
		return m.bytes()
	}
	child, parent := empty(typeDifferencing, 2, 1), empty(typeDynamic, 1, 0)
	if be.Uint64(child[48:]) != size {
		t.Fatal("not of the size asked for")
	}
	d, err := under{parent: parent}.Open(bytes.NewReader(child), int64(len(child)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var n int
	for e, err := range formats.Extents(d, 0, size) {
		if n++; err != nil || e.State != formats.Hole || e.Len != size {
			t.Errorf("extent %+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("%d extents", n)
	}
	e, err := d.ExtentAt(0)
	if err != nil || e.Len > layerBlocks*2<<20 {
		t.Errorf("one look goes over %+v, %v", e, err)
	}
}

// childSeed is a differencing disk of three blocks of 512 bytes over seed.
func childSeed() []byte {
	b := foot(60, be32(typeDifferencing)...)(seed())
	b[9*512-512], b[11*512-512] = 0x80, 0
	b = head(55, 1)(b)
	return foot(83, 2)(b)
}

func TestChildSeedIsGood(t *testing.T) {
	parent := foot(83, 1)(seed())
	formattest.Refused(t, under{parent: parent}, childSeed(), nil)
	d, err := under{parent: parent}.Open(bytes.NewReader(childSeed()), int64(len(childSeed())), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3*512)
	imgtest.ReadFull(t, d, got, 0)
	if got[0] != 'a' || got[512] != 0 || got[1024] != 'b' {
		t.Errorf("blocks begin with % x, % x, % x", got[0], got[512], got[1024])
	}
}

func FuzzOpenSet(f *testing.F) {
	formattest.Seeds(f)
	parent := foot(83, 1)(seed())
	fixed := foot(48, be64(3*512)...)(foot(60, be32(typeFixed)...)(append(bytes.Repeat([]byte("f"), 3*512), parent[len(parent)-512:]...)))
	f.Add(childSeed(), parent)
	f.Add(childSeed(), fixed)
	f.Add(childSeed(), head(55, 1)(foot(60, be32(typeDifferencing)...)(bytes.Clone(parent))))
	f.Fuzz(func(t *testing.T, child, parent []byte) {
		formattest.Fuzz(t, under{parent: repair(bytes.Clone(parent))}, repair(bytes.Clone(child)))
	})
}
