package vhd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// A made is a VHD as this test writes it: qemu-img can write no differencing
// disk, and reads one as if it had no parent.
type made struct {
	kind       uint32
	id, parent byte // of unique ids; 0 is none
	size       int64
	block      int64
	data       []byte // the guest's bytes; of a differencing disk those that are present count
	present    []bool // sectors that a differencing disk holds
	allocated  []bool // blocks that are in the file, though no sector of theirs may be
	order      []int  // of the blocks in the file
	made, seen uint32 // time stamps of the footer and of the parent
}

func (m made) footer() []byte {
	be := binary.BigEndian
	f := make([]byte, footerBytes)
	copy(f, footerMagic)
	be.PutUint32(f[8:], 2)
	be.PutUint32(f[12:], fileVersion)
	be.PutUint64(f[16:], 1<<64-1)
	if m.kind != typeFixed {
		be.PutUint64(f[16:], footerBytes)
	}
	be.PutUint32(f[24:], m.made)
	copy(f[28:], "win ")
	be.PutUint64(f[48:], uint64(m.size))
	be.PutUint32(f[60:], m.kind)
	f[68+15] = m.id
	be.PutUint32(f[64:], checksum(f, 64))
	return f
}

func (m made) bytes() []byte {
	if m.kind == typeFixed {
		return append(bytes.Clone(m.data), m.footer()...)
	}
	be := binary.BigEndian
	blocks := int((m.size + m.block - 1) / m.block)
	h := make([]byte, headerBytes)
	copy(h, headerMagic)
	be.PutUint64(h[8:], 1<<64-1)
	be.PutUint64(h[16:], footerBytes+headerBytes)
	be.PutUint32(h[24:], fileVersion)
	be.PutUint32(h[28:], uint32(blocks))
	be.PutUint32(h[32:], uint32(m.block))
	if m.kind == typeDifferencing {
		h[40+15] = m.parent
		be.PutUint32(h[56:], m.seen)
		for i, u := range utf16.Encode([]rune("C:\\vm\\größer.vhd")) {
			be.PutUint16(h[64+2*i:], u)
		}
	}
	be.PutUint32(h[36:], checksum(h, 36))
	table := bytes.Repeat([]byte{255}, (blocks*4+511)/512*512)
	out := slices.Concat(m.footer(), h, table)
	for _, i := range m.order {
		if m.allocated[i] {
			be.PutUint32(out[footerBytes+headerBytes+4*i:], uint32(len(out)/sectorBytes))
			out = append(out, m.stored(i)...)
		}
	}
	return append(out, m.footer()...)
}

// stored returns bitmap and data of block i. What is not present is garbage.
func (m made) stored(i int) []byte {
	sectors := int(m.block / sectorBytes)
	bits := make([]byte, (sectors/8+511)/512*512)
	if len(bits) == 0 {
		bits = make([]byte, 512)
	}
	data := bytes.Repeat([]byte{0xEE}, int(m.block))
	for s := range sectors {
		off := int64(i)*m.block + int64(s)*sectorBytes
		if off >= m.size {
			break
		}
		if m.kind != typeDifferencing || m.present[off/sectorBytes] {
			bits[s/8] |= 0x80 >> (s % 8)
			copy(data[s*sectorBytes:], m.data[off:off+sectorBytes])
		}
	}
	return append(bits, data...)
}

// random returns an image with random blocks, sectors and bytes.
func random(rng *rand.Rand, kind uint32, id, parent byte, size, block int64) made {
	m := made{kind: kind, id: id, parent: parent, size: size, block: block, data: make([]byte, size), present: make([]bool, size/sectorBytes)}
	blocks := int((size + block - 1) / block)
	m.allocated, m.order = make([]bool, blocks), rng.Perm(blocks)
	for i := range blocks {
		m.allocated[i] = rng.IntN(3) > 0
		how := rng.IntN(4)
		for off := int64(i) * block; off < min(size, int64(i+1)*block) && m.allocated[i]; off += sectorBytes {
			// No sector, all sectors, runs of 64, or any.
			m.present[off/sectorBytes] = how == 1 || how == 2 && off>>15&1 == 1 || how == 3 && rng.IntN(2) == 0
			if rng.IntN(5) > 0 { // else zeros, which are as good as other bytes
				binary.BigEndian.PutUint64(m.data[off+int64(rng.IntN(64)*8):], rng.Uint64())
			}
		}
	}
	if kind == typeFixed {
		return m
	}
	for off := int64(0); kind == typeDynamic && off < size; off += sectorBytes {
		if !m.allocated[off/block] {
			clear(m.data[off : off+sectorBytes])
		}
	}
	return m
}

// shows returns what a chain shows, the child first.
func shows(chain ...made) []byte {
	out := make([]byte, chain[0].size)
	for off := int64(0); off < int64(len(out)); off += sectorBytes {
		for _, m := range chain {
			if off >= m.size {
				break
			}
			if m.kind != typeDifferencing || m.present[off/sectorBytes] {
				copy(out[off:], m.data[off:off+sectorBytes])
				break
			}
		}
	}
	return out
}

// membersOf returns the images as members, the last one first.
func membersOf(all ...made) []formats.Member {
	var out []formats.Member
	for i := len(all) - 1; i >= 0; i-- {
		b := all[i].bytes()
		out = append(out, formats.Member{Name: fmt.Sprintf("p%d.vhd", all[i].id), R: bytes.NewReader(b), Size: int64(len(b))})
	}
	return out
}

// openChain opens a chain, the child first.
func openChain(chain ...made) (formats.Disk, error) {
	b := chain[0].bytes()
	return Format{}.OpenSet(bytes.NewReader(b), int64(len(b)), membersOf(chain[1:]...), formats.DefaultLimits())
}

func checkChain(t *testing.T, chain ...made) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "want.raw")
	if err := os.WriteFile(path, shows(chain...), 0o600); err != nil {
		t.Fatal(err)
	}
	formattest.Reader(t, formattest.Spec{Want: imgtest.OpenFile(t, path), Open: func(t testing.TB) formats.Disk {
		d, err := openChain(chain...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}})
}

func TestChainsReadAsTheirModel(t *testing.T) {
	const size = 3<<20 + 5*sectorBytes
	for _, block := range []int64{512, 4096, 64 << 10, 2 << 20} {
		for _, base := range []uint32{typeFixed, typeDynamic} {
			t.Run(fmt.Sprintf("blocks of %d over %s", block, subformat(base)), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(block), uint64(base)))
				checkChain(t,
					random(rng, typeDifferencing, 3, 2, size, block),
					random(rng, typeDifferencing, 2, 1, size, 2<<20>>rng.IntN(8)),
					random(rng, base, 1, 0, size, block))
			})
		}
	}
}

func TestLongChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	chain := []made{random(rng, typeDynamic, 1, 0, 1<<20, 64<<10)}
	for id := byte(2); len(chain) <= maxChain; id++ {
		chain = append([]made{random(rng, typeDifferencing, id, id-1, 1<<20, 32<<10)}, chain...)
	}
	checkChain(t, chain...)
	chain = append([]made{random(rng, typeDifferencing, 100, chain[0].id, 1<<20, 32<<10)}, chain...)
	if _, err := openChain(chain...); errcode.Of(err) != errcode.ParserLimit {
		t.Errorf("a chain of %d: %v", len(chain), err)
	}
}

func TestEnlargedChild(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	chain := []made{
		random(rng, typeDifferencing, 3, 2, 5<<20, 64<<10),
		random(rng, typeDifferencing, 2, 1, 4<<20+512, 64<<10),
		random(rng, typeFixed, 1, 0, 3<<20, 0x10000),
	}
	checkChain(t, chain...)
	d, err := openChain(chain...)
	if err != nil {
		t.Fatal(err)
	}
	f := d.Info().Findings
	if len(f) != 2 || f[0].Code != errcode.VHDSizeMismatch || f[0].Severity != formats.SeverityWarning || !strings.Contains(f[1].Message, `in member "p2.vhd"`) {
		t.Errorf("findings %+v", f)
	}
}

func TestInfoOfAChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	child, base := random(rng, typeDifferencing, 2, 1, 1<<20, 64<<10), random(rng, typeDynamic, 1, 0, 1<<20, 64<<10)
	for _, c := range []struct {
		name       string
		made, seen uint32
		want       int
	}{
		{"no time stamps", 0, 0, 0},
		{"parent older", 1000, 5_000_000, 0},
		{"parent a zone ahead", 5_000_000 + 14*3600, 5_000_000, 0},
		{"parent younger than the child says", 5_000_000 + 25*3600, 5_000_000, 1},
	} {
		base.made, child.seen = c.made, c.seen
		d, err := openChain(child, base)
		if err != nil {
			t.Fatal(err)
		}
		info := d.Info()
		if info.Subformat != "differencing" || !info.HolesKnown || info.BlockSize != 64<<10 || info.FileSize != int64(len(child.bytes())+len(base.bytes())) {
			t.Errorf("%s: info %+v", c.name, info)
		}
		if len(info.Findings) != c.want || c.want > 0 && info.Findings[0].Severity != formats.SeverityWarning {
			t.Errorf("%s: findings %+v, want %d", c.name, info.Findings, c.want)
		}
	}
}

func TestRefusedChains(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	diff := func(id, parent byte) made { return random(rng, typeDifferencing, id, parent, 1<<20, 64<<10) }
	base := random(rng, typeDynamic, 1, 0, 1<<20, 64<<10)
	long := random(rng, typeDynamic, 1, 0, 1<<20+512, 64<<10)
	other := random(rng, typeFixed, 9, 0, 1<<20, 64<<10)
	for _, c := range []struct {
		name  string
		chain []made
		want  errcode.Code
	}{
		{"good", []made{diff(3, 2), diff(2, 1), base}, ""},
		{"alone", []made{diff(2, 1)}, errcode.VHDDifferencing},
		{"wrong parent", []made{diff(2, 1), other}, errcode.MemberMissing},
		{"missing grandparent", []made{diff(3, 2), diff(2, 1)}, errcode.MemberMissing},
		{"extra member", []made{diff(2, 1), base, other}, errcode.MemberMismatch},
		{"extra child of the parent", []made{diff(2, 1), base, diff(3, 1)}, errcode.MemberMismatch},
		{"member of a whole disk", []made{base, other}, errcode.MemberMismatch},
		{"member of a whole fixed disk", []made{other, base}, errcode.MemberMismatch},
		{"two members of one id", []made{diff(2, 1), base, long}, errcode.MemberMismatch},
		{"its own parent", []made{diff(2, 2), base}, errcode.VHDHeader},
		{"its own parent, twice", []made{diff(2, 2), diff(2, 2)}, errcode.VHDHeader},
		{"circle of two", []made{diff(2, 3), diff(3, 2)}, errcode.VHDHeader},
		{"circle behind the child", []made{diff(4, 3), diff(3, 2), diff(2, 3)}, errcode.VHDHeader},
		{"no parent named", []made{diff(2, 0), random(rng, typeDynamic, 0, 0, 1<<20, 64<<10)}, errcode.VHDHeader},
		{"parent longer than the child", []made{diff(2, 1), long}, errcode.VHDSizeMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := openChain(c.chain...)
			if got := errcode.Of(err); got != c.want {
				t.Fatalf("%q, want %q: %v", got, c.want, err)
			}
			if err == nil {
				d.Close()
			} else if e, _ := errcode.As(err); e.Evidence == nil || e.Evidence.Format != "vhd" {
				t.Errorf("no evidence in %v", err)
			}
		})
	}
}

func TestAMissingParentIsNamed(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	_, err := openChain(random(rng, typeDifferencing, 3, 2, 1<<20, 64<<10), random(rng, typeDifferencing, 2, 1, 1<<20, 64<<10))
	e, ok := errcode.As(err)
	if !ok || !strings.Contains(e.Message, `"C:\vm\größer.vhd"`) || !strings.Contains(e.Message, "00000000-0000-0000-0000-000000000001") ||
		!strings.Contains(e.Message, `"p2.vhd"`) || !strings.Contains(e.Remedy(), "--member FILE") {
		t.Errorf("%v", err)
	}
}
