package vdi

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// set32 overwrites a field of the header.
func set32(off int, v uint32) func(b []byte) []byte {
	return formattest.Set(off, binary.LittleEndian.AppendUint32(nil, v)...)
}

func set64(off int, v uint64) func(b []byte) []byte {
	return formattest.Set(off, binary.LittleEndian.AppendUint64(nil, v)...)
}

// entry overwrites an entry of the block map.
func entry(i int, v uint32) func(b []byte) []byte { return set32(headBytes+i*entryBytes, v) }

// all applies several mutations.
func all(ms ...func([]byte) []byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		for _, m := range ms {
			b = m(b)
		}
		return b
	}
}

func same(b []byte) []byte { return b }

func limits(fn func(*formats.Limits)) *formats.Limits {
	l := formats.DefaultLimits()
	fn(&l)
	return &l
}

// full is a disk of nine blocks, all stored.
func full() *imgtest.Disk {
	return imgtest.New(9<<20, 1, imgtest.Run{Off: 0, Len: 9 << 20, Kind: imgtest.Noise})
}

func TestRefused(t *testing.T) {
	uuid := []byte("0123456789abcdef")
	formattest.Refused(t, Format{}, build(t, full(), recipe{}), []formattest.Bad{
		{Name: "empty file", Make: func([]byte) []byte { return nil }, Want: errcode.FormatMismatch},
		{Name: "not a vdi", Make: func([]byte) []byte { return make([]byte, 4096) }, Want: errcode.FormatMismatch},
		{Name: "cut within the header", Make: func(b []byte) []byte { return b[:511] }, Want: errcode.Truncated},
		{Name: "cut within the block map", Make: func(b []byte) []byte { return b[:512+35] }, Want: errcode.Truncated},
		{Name: "cut within the last block", Make: formattest.Cut(1), Want: errcode.Truncated},
		{Name: "cut before the data", Make: func(b []byte) []byte { return b[:1024] }, Want: errcode.Truncated},
		{Name: "version 1.0", Make: set32(68, 0x00010000), Want: errcode.VDIHeader},
		{Name: "version 0.2", Make: set32(68, 2), Want: errcode.VDIHeader},
		{Name: "version 2.1", Make: set32(68, 0x00020001), Want: errcode.VDIHeader},
		{Name: "header size 0", Make: set32(72, 0), Want: errcode.VDIHeader},
		{Name: "header a byte too short", Make: set32(72, 0x17F), Want: errcode.VDIHeader},
		{Name: "header reaches into the map", Make: set32(72, 512-72+1), Want: errcode.TableBounds},
		{Name: "header of 4 GiB", Make: set32(72, 1<<32-1), Want: errcode.TableBounds},
		{Name: "type 0", Make: set32(76, 0), Want: errcode.VDIHeader},
		{Name: "type undo", Make: set32(76, typeUndo), Want: errcode.VDIDifferencing},
		{Name: "type differencing", Make: set32(76, typeDifferencing), Want: errcode.VDIDifferencing},
		{Name: "type 5", Make: set32(76, 5), Want: errcode.VDIHeader},
		{Name: "link UUID", Make: formattest.Set(424, uuid...), Want: errcode.VDIDifferencing},
		{Name: "last byte of the link UUID", Make: formattest.Set(439, 1), Want: errcode.VDIDifferencing},
		{Name: "parent UUID", Make: formattest.Set(440, uuid...), Want: errcode.VDIDifferencing},
		{Name: "map offset 0", Make: set32(340, 0), Want: errcode.TableBounds},
		{Name: "map offset odd", Make: set32(340, 513), Want: errcode.TableBounds},
		{Name: "whole map a byte later", Make: func(b []byte) []byte {
			copy(b[513:], b[512:548])
			return set32(340, 513)(b)
		}, Want: errcode.TableBounds},
		{Name: "map past the end", Make: set32(340, 0xFFFFFE00), Want: errcode.Truncated},
		{Name: "data offset 0", Make: set32(344, 0), Want: errcode.TableBounds},
		{Name: "data offset in the map", Make: set32(344, 512), Want: errcode.TableBounds},
		{Name: "data offset odd", Make: set32(344, 1025), Want: errcode.TableBounds},
		{Name: "data past the end", Make: set32(344, 0xFFFFFE00), Want: errcode.Truncated},
		{Name: "sectors of 4096 bytes", Make: set32(360, 4096), Want: errcode.VDIHeader},
		{Name: "size 0", Make: set64(368, 0), Want: errcode.VirtualSizeZero},
		{Name: "size above the blocks", Make: set64(368, 9<<20+1), Want: errcode.VDIHeader},
		{Name: "size negative", Make: set64(368, 1<<63), Want: errcode.VirtualSizeTooLarge},
		{Name: "size above the limit", Make: same, Want: errcode.VirtualSizeTooLarge, Limits: limits(func(l *formats.Limits) { l.VirtualSize = 9<<20 - 1 })},
		{Name: "block size 0", Make: set32(376, 0), Want: errcode.VDIHeader},
		{Name: "block size 2 KiB", Make: set32(376, 2048), Want: errcode.VDIHeader},
		{Name: "block size of three sectors", Make: set32(376, 3<<20), Want: errcode.VDIHeader},
		{Name: "block size 512 MiB", Make: set32(376, 512<<20), Want: errcode.VDIHeader},
		{Name: "block extra of a byte", Make: set32(380, 1), Want: errcode.VDIHeader},
		{Name: "block extra of three sectors", Make: set32(380, 1536), Want: errcode.VDIHeader},
		{Name: "block extra above a block", Make: set32(380, 2<<20), Want: errcode.VDIHeader},
		{Name: "block extra shifts the last block out", Make: set32(380, 512), Want: errcode.Truncated},
		{Name: "blocks 0", Make: all(set32(384, 0), set32(388, 0)), Want: errcode.VDIHeader},
		{Name: "too few blocks", Make: all(set32(384, 8), set32(388, 8)), Want: errcode.VDIHeader},
		{Name: "4 Gi blocks", Make: set32(384, 1<<32-1), Want: errcode.VDIHeader},
		{Name: "a map of 16 GiB", Make: set32(384, 1<<32-2), Want: errcode.Truncated},
		{Name: "more allocated than blocks", Make: set32(388, 10), Want: errcode.VDIHeader},
		{Name: "fewer allocated than in the map", Make: set32(388, 8), Want: errcode.TableBounds},
		{Name: "place above the allocated ones", Make: entry(3, 9), Want: errcode.TableBounds},
		{Name: "the highest place", Make: entry(3, 0xFFFFFFFD), Want: errcode.TableBounds},
		{Name: "two blocks in one place", Make: entry(3, 4), Want: errcode.AliasedBlocks},
		{Name: "all blocks in one place", Make: func(b []byte) []byte { clear(b[512 : 512+36]); return b }, Want: errcode.AliasedBlocks},
		{Name: "allocated places past the end", Make: all(set32(384, 100), set32(388, 100), entry(3, 99)), Want: errcode.Truncated},
	})
}

func TestRefusedStatic(t *testing.T) {
	formattest.Refused(t, Format{}, build(t, full(), recipe{imageType: typeStatic, headerSize: 0x180, extra: 512}), []formattest.Bad{
		{Name: "cut", Make: formattest.Cut(1), Want: errcode.Truncated},
		{Name: "parent UUID", Make: formattest.Set(455, 1), Want: errcode.VDIDifferencing},
		{Name: "two blocks in one place", Make: entry(8, 0), Want: errcode.AliasedBlocks},
		{Name: "place above the allocated ones", Make: entry(0, 9), Want: errcode.TableBounds},
	})
}

func TestLimitsHoldExactly(t *testing.T) {
	b := build(t, full(), recipe{})
	for _, c := range []struct {
		name string
		make func([]byte) []byte
		size int64 // limit of the virtual size
		want errcode.Code
	}{
		{"virtual size at the limit", same, 9 << 20, ""},
		{"virtual size above the limit", same, 9<<20 - 1, errcode.VirtualSizeTooLarge},
		{"smallest block", all(set32(376, minBlockBytes), set64(368, 9*minBlockBytes)), 9 << 20, ""},
		{"block below the smallest", all(set32(376, minBlockBytes/2), set64(368, 9*minBlockBytes/2)), 9 << 20, errcode.VDIHeader},
		{"largest block", set32(376, maxBlockBytes), 9 << 20, ""},
		{"block above the largest", set32(376, 2*maxBlockBytes), 9 << 20, errcode.VDIHeader},
		{"header up to the map", set32(72, 512-72), 9 << 20, ""},
		{"header a byte longer", set32(72, 512-71), 9 << 20, errcode.TableBounds},
		{"shortest header", set32(72, minHeaderBytes), 9 << 20, ""},
		{"header a byte shorter", set32(72, minHeaderBytes-1), 9 << 20, errcode.VDIHeader},
	} {
		lim := formats.DefaultLimits()
		lim.VirtualSize = c.size
		img := c.make(bytes.Clone(b))
		if _, err := (Format{}).Open(bytes.NewReader(img), int64(len(img)), lim); errcode.Of(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestLeakedPlacesAreTold(t *testing.T) {
	b := entry(3, entryHole)(build(t, full(), recipe{}))
	d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
	for range 2 { // a second call does not pile up
		f, err := d.(formats.Validator).Validate(t.Context())
		if err != nil || len(f) != 1 || f[0].Code != errcode.VDIHeader || f[0].Severity != formats.SeverityInfo {
			t.Errorf("findings %+v, %v", f, err)
		}
	}
}

// Validate, a walk over the extents and a read each find a bad entry by
// themselves, also one that seems to go on with the block before it; a read
// gives all bytes before it.
func TestBadEntryIsFoundEverywhere(t *testing.T) {
	src := full()
	for _, c := range []struct {
		name string
		recipe
		make func([]byte) []byte
		bad  int64 // block
		want errcode.Code
	}{
		{"place above the allocated ones", recipe{}, entry(3, 1000), 3, errcode.TableBounds},
		{"last place not allocated", recipe{}, set32(388, 8), 8, errcode.TableBounds},
		{"last block cut", recipe{}, formattest.Cut(1), 8, errcode.Truncated},
		{"last block cut behind its extra", recipe{extra: 4096}, formattest.Cut(1 << 20), 8, errcode.Truncated},
		{"three blocks cut", recipe{}, formattest.Cut(2<<20 + 1), 6, errcode.Truncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.make(build(t, src, c.recipe))
			d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
			if _, err := d.(formats.Validator).Validate(t.Context()); errcode.Of(err) != c.want {
				t.Errorf("validate: %v, want %s", err, c.want)
			}
			off := int64(0)
			for off < d.Size() {
				e, err := d.ExtentAt(off)
				if err != nil {
					if errcode.Of(err) != c.want || off != c.bad<<20 {
						t.Errorf("extent at %d: %v, want %s at block %d", off, err, c.want, c.bad)
					}
					break
				}
				off = e.End()
			}
			if off != c.bad<<20 {
				t.Errorf("extents go to %d", off)
			}
			got, want := make([]byte, 9<<20), make([]byte, c.bad<<20)
			n, err := d.ReadAt(got, 0)
			imgtest.ReadFull(t, src, want, 0)
			if int64(n) != c.bad<<20 || errcode.Of(err) != c.want || !bytes.Equal(got[:n], want) {
				t.Errorf("read %d bytes, %v", n, err)
			}
		})
	}
}
