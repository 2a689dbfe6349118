package vhd

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// A mutation changes an image and makes its checksums right again.
type mutation = func(b []byte) []byte

// foot overwrites bytes of every footer of the image.
func foot(rel int, p ...byte) mutation {
	return func(b []byte) []byte {
		for _, at := range []int{0, len(b) - footerBytes} {
			if hasFooter(b[at:]) {
				copy(b[at+rel:], p)
				binary.BigEndian.PutUint32(b[at+64:], checksum(b[at:at+footerBytes], 64))
			}
		}
		return b
	}
}

// tailOnly applies a mutation to the last footer alone.
func tailOnly(m mutation) mutation {
	return func(b []byte) []byte {
		head := bytes.Clone(b[:footerBytes])
		m(b)
		copy(b, head)
		return b
	}
}

// head overwrites bytes of the dynamic disk header.
func head(rel int, p ...byte) mutation {
	return func(b []byte) []byte {
		at := binary.BigEndian.Uint64(b[16:])
		copy(b[int(at)+rel:], p)
		binary.BigEndian.PutUint32(b[at+36:], checksum(b[at:at+headerBytes], 36))
		return b
	}
}

// bat overwrites entry i of the BAT.
func bat(i int, entry func(b []byte) uint32) mutation {
	return func(b []byte) []byte {
		at := binary.BigEndian.Uint64(b[binary.BigEndian.Uint64(b[16:])+16:])
		binary.BigEndian.PutUint32(b[int(at)+4*i:], entry(b))
		return b
	}
}

func sector(n uint32) func([]byte) uint32 { return func([]byte) uint32 { return n } }

func entryOf(b []byte, i int) uint32 {
	at := binary.BigEndian.Uint64(b[binary.BigEndian.Uint64(b[16:])+16:])
	return binary.BigEndian.Uint32(b[int(at)+4*i:])
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func small(fn func(*formats.Limits)) *formats.Limits {
	l := formats.DefaultLimits()
	fn(&l)
	return &l
}

func same(b []byte) []byte { return b }

func full() *imgtest.Disk {
	return imgtest.New(9<<20, 1, imgtest.Run{Off: 0, Len: 9 << 20, Kind: imgtest.Noise})
}

func TestRefusedDynamic(t *testing.T) {
	formattest.Refused(t, Format{}, vpc(t, full(), "dynamic"), []formattest.Bad{
		{Name: "empty file", Make: func(b []byte) []byte { return nil }, Want: errcode.FormatMismatch},
		{Name: "not a vhd", Make: func(b []byte) []byte { return make([]byte, 4096) }, Want: errcode.FormatMismatch},
		{Name: "magic only", Make: func(b []byte) []byte { return b[:8] }, Want: errcode.Truncated},
		{Name: "no copy at the begin", Make: formattest.Set(0, 0), Want: errcode.VHDHeader},
		{Name: "checksum of the copy", Make: formattest.Set(100, 1), Want: errcode.VHDChecksum},
		{Name: "checksum of the footer", Make: formattest.Set(-100, 1), Want: errcode.VHDChecksum},
		{Name: "checksum of the header", Make: formattest.Set(512+1000, 1), Want: errcode.VHDChecksum},
		{Name: "version 2", Make: foot(12, 0, 2, 0, 0), Want: errcode.VHDHeader},
		{Name: "differencing", Make: foot(60, be32(4)...), Want: errcode.VHDDifferencing},
		{Name: "type 7", Make: foot(60, be32(7)...), Want: errcode.VHDHeader},
		{Name: "type fixed", Make: foot(60, be32(2)...), Want: errcode.VHDHeader},
		{Name: "saved state", Make: foot(84, 1), Want: errcode.VHDSavedState},
		{Name: "size 0", Make: foot(48, be64(0)...), Want: errcode.VirtualSizeZero},
		{Name: "odd size", Make: foot(48, be64(9<<20-1)...), Want: errcode.SizeUnaligned},
		{Name: "negative size", Make: foot(48, be64(1<<63)...), Want: errcode.VirtualSizeTooLarge},
		{Name: "size above 2040 GiB", Make: foot(48, be64(2040<<30+512)...), Want: errcode.VirtualSizeTooLarge},
		{Name: "size above the limit", Make: same, Want: errcode.VirtualSizeTooLarge, Limits: small(func(l *formats.Limits) { l.VirtualSize = 9<<20 - 1 })},
		{Name: "size above the BAT", Make: foot(48, be64(1<<40)...), Want: errcode.VHDSizeMismatch},
		{Name: "footers of two sizes", Make: tailOnly(foot(48, be64(8<<20)...)), Want: errcode.VHDHeader},
		{Name: "footers of two types", Make: tailOnly(foot(60, be32(2)...)), Want: errcode.VHDHeader},
		{Name: "footers of two disks", Make: tailOnly(foot(68, 1, 2, 3)), Want: errcode.VHDHeader},
		{Name: "header offset in the footer", Make: foot(16, be64(0)...), Want: errcode.TableBounds},
		{Name: "header offset odd", Make: foot(16, be64(513)...), Want: errcode.TableBounds},
		{Name: "header offset all ones", Make: foot(16, be64(1<<64-1)...), Want: errcode.TableBounds},
		{Name: "header past the end", Make: foot(16, be64(1<<30)...), Want: errcode.Truncated},
		{Name: "header without magic", Make: head(0, 'X'), Want: errcode.VHDHeader},
		{Name: "header version 2", Make: head(24, be32(0x20000)...), Want: errcode.VHDHeader},
		{Name: "block size 0", Make: head(32, be32(0)...), Want: errcode.VHDHeader},
		{Name: "block size of three sectors", Make: head(32, be32(1536)...), Want: errcode.VHDHeader},
		{Name: "block size 512 MiB", Make: head(32, be32(512<<20)...), Want: errcode.VHDHeader},
		{Name: "BAT too short", Make: head(28, be32(4)...), Want: errcode.VHDSizeMismatch},
		{Name: "BAT of 4 GiB", Make: head(28, be32(0x40000001)...), Want: errcode.TableBounds},
		{Name: "BAT above the limit", Make: same, Want: errcode.TableBounds, Limits: small(func(l *formats.Limits) { l.TableBytes = 5*4 - 1 })},
		{Name: "BAT in the footer", Make: head(16, be64(0)...), Want: errcode.TableBounds},
		{Name: "BAT over the header", Make: head(16, be64(512)...), Want: errcode.TableBounds},
		{Name: "BAT offset overflows", Make: head(16, be64(1<<63-512)...), Want: errcode.TableBounds},
		{Name: "BAT past the end", Make: head(16, be64(1<<30)...), Want: errcode.Truncated},
		{Name: "block past the end", Make: bat(2, sector(0x10000000)), Want: errcode.Truncated},
		{Name: "block in the footer's copy", Make: bat(2, sector(0)), Want: errcode.AliasedBlocks},
		{Name: "block in the header", Make: bat(2, sector(1)), Want: errcode.AliasedBlocks},
		{Name: "two blocks in one place", Make: bat(2, func(b []byte) uint32 { return entryOf(b, 1) }), Want: errcode.AliasedBlocks},
		{Name: "blocks overlap by a sector", Make: bat(2, func(b []byte) uint32 { return entryOf(b, 2) - 1 }), Want: errcode.AliasedBlocks},
		{Name: "block in the last footer", Make: func(b []byte) []byte {
			return bat(4, sector(uint32((len(b)-512)/512)-1-1<<11+1))(b)
		}, Want: errcode.AliasedBlocks},
		{Name: "cut within the last block", Make: func(b []byte) []byte { return b[:len(b)-(2<<20)] }, Want: errcode.Truncated},
		{Name: "cut within the BAT", Make: func(b []byte) []byte { return b[:1600] }, Want: errcode.Truncated},
	})
}

func TestRefusedFixed(t *testing.T) {
	formattest.Refused(t, Format{}, vpc(t, full(), "fixed"), []formattest.Bad{
		{Name: "cut", Make: formattest.Cut(2), Want: errcode.FormatMismatch},
		{Name: "bytes missing in front", Make: func(b []byte) []byte { return b[512:] }, Want: errcode.VHDSizeMismatch},
		{Name: "bytes added in front", Make: func(b []byte) []byte { return append(make([]byte, 512), b...) }, Want: errcode.VHDSizeMismatch},
		{Name: "trailing bytes", Make: func(b []byte) []byte { return append(b, 0, 0) }, Want: errcode.FormatMismatch},
		{Name: "checksum", Make: formattest.Set(-100, 1), Want: errcode.VHDChecksum},
		{Name: "version", Make: foot(12, 0, 0, 0, 0), Want: errcode.VHDHeader},
		{Name: "type dynamic", Make: foot(60, be32(3)...), Want: errcode.VHDHeader},
		{Name: "type differencing", Make: foot(60, be32(4)...), Want: errcode.VHDDifferencing},
		{Name: "saved state", Make: foot(84, 1), Want: errcode.VHDSavedState},
		{Name: "size 0", Make: foot(48, be64(0)...), Want: errcode.VirtualSizeZero},
		{Name: "size above the file", Make: foot(48, be64(10<<20)...), Want: errcode.VHDSizeMismatch},
		{Name: "size below the file", Make: foot(48, be64(8<<20)...), Want: errcode.VHDSizeMismatch},
		{Name: "size above the limit", Make: same, Want: errcode.VirtualSizeTooLarge, Limits: small(func(l *formats.Limits) { l.VirtualSize = 9<<20 - 1 })},
		{Name: "guest begins with a footer", Make: func(b []byte) []byte { copy(b, b[len(b)-512:]); return b }, Want: errcode.VHDHeader},
	})
}

func TestLimitsHoldExactly(t *testing.T) {
	b := vpc(t, full(), "dynamic")
	for _, c := range []struct {
		name string
		set  func(l *formats.Limits, off int64)
		want errcode.Code
	}{
		{"virtual size", func(l *formats.Limits, off int64) { l.VirtualSize = 9<<20 + off }, errcode.VirtualSizeTooLarge},
		{"BAT", func(l *formats.Limits, off int64) { l.TableBytes = 5*4 + off }, errcode.TableBounds},
	} {
		for off, want := range map[int64]errcode.Code{0: "", -1: c.want} {
			lim := formats.DefaultLimits()
			c.set(&lim, off)
			_, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), lim)
			if got := errcode.Of(err); got != want {
				t.Errorf("%s: limit %d below what the image has: %q, want %q", c.name, -off, got, want)
			}
		}
	}
}

func TestFindings(t *testing.T) {
	dyn := vpc(t, full(), "dynamic")
	geometry := []byte{0, 1, 2, 3}
	for _, c := range []struct {
		name string
		make mutation
		want errcode.Code
	}{
		{"as qemu writes it", same, ""},
		{"without the last footer", formattest.Cut(600), errcode.VHDHeader},
		{"geometry of another size", func(b []byte) []byte { return foot(56, geometry...)(foot(28, []byte("vbox")...)(b)) }, errcode.VHDSizeMismatch},
		{"geometry does not count for Azure", func(b []byte) []byte { return foot(56, geometry...)(foot(28, []byte("wa\x00\x00")...)(b)) }, ""},
		{"geometry does not count for Disk2vhd", func(b []byte) []byte { return foot(56, geometry...)(foot(28, []byte("d2v ")...)(b)) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.make(bytes.Clone(dyn))
			d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			var got errcode.Code
			if f := d.Info().Findings; len(f) > 0 {
				got = f[0].Code
			}
			if got != c.want || d.Size() != 9<<20 {
				t.Errorf("finding %q, want %q; size %d", got, c.want, d.Size())
			}
		})
	}
}

// seed is a dynamic disk of three blocks of 512 bytes, of which two are
// stored, each behind its bitmap.
func seed() []byte {
	be := binary.BigEndian
	b := make([]byte, 4096+2048+512)
	for _, at := range []int{0, len(b) - 512} {
		f := b[at:]
		copy(f, footerMagic)
		be.PutUint32(f[12:], fileVersion)
		be.PutUint64(f[16:], 512)
		copy(f[28:], "win ")
		be.PutUint64(f[48:], 3*512)
		be.PutUint32(f[60:], typeDynamic)
		be.PutUint32(f[64:], checksum(f[:512], 64))
	}
	h := b[512:]
	copy(h, headerMagic)
	be.PutUint64(h[16:], 2048)
	be.PutUint32(h[24:], fileVersion)
	be.PutUint32(h[28:], 3)
	be.PutUint32(h[32:], 512)
	be.PutUint32(h[36:], checksum(h[:1024], 36))
	copy(b[2048:], []byte{0, 0, 0, 10, 255, 255, 255, 255, 0, 0, 0, 8})
	copy(b[9*512:], bytes.Repeat([]byte("b"), 512))
	copy(b[11*512:], bytes.Repeat([]byte("a"), 512))
	return b
}

func TestSeedIsGood(t *testing.T) {
	formattest.Refused(t, Format{}, seed(), nil)
	d, err := Format{}.Open(bytes.NewReader(seed()), int64(len(seed())), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3*512)
	imgtest.ReadFull(t, d, got, 0)
	if got[0] != 'a' || got[511] != 'a' || got[512] != 0 || got[1024] != 'b' {
		t.Errorf("blocks begin with % x, % x, % x", got[0], got[512], got[1024])
	}
}

func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	f.Add(seed())
	dyn := seed()
	fixed := foot(48, be64(3*512)...)(foot(60, be32(typeFixed)...)(append(bytes.Repeat([]byte("f"), 3*512), dyn[len(dyn)-512:]...)))
	f.Add(fixed)
	f.Add(fixed[:len(fixed)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format{}, data)
		formattest.Fuzz(t, Format{}, repair(bytes.Clone(data)))
	})
}

// repair makes the checksums right, without which the fuzzer would not get
// past the footer.
func repair(b []byte) []byte {
	for _, at := range []int{0, len(b) - 512, len(b) - 511} {
		if at >= 0 && len(b)-at >= 511 && hasFooter(b[at:]) {
			n := min(512, len(b)-at)
			binary.BigEndian.PutUint32(b[at+64:], checksum(b[at:at+n], 64))
		}
	}
	if len(b) >= 512 && hasFooter(b) {
		at := binary.BigEndian.Uint64(b[16:])
		if at < uint64(len(b)) && len(b)-int(at) >= headerBytes {
			binary.BigEndian.PutUint32(b[at+36:], checksum(b[at:at+headerBytes], 36))
		}
	}
	return b
}
