package parallels

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

// entry overwrites an entry of the BAT.
func entry(i int, v uint32) func(b []byte) []byte { return set32(headerBytes+i*entryBytes, v) }

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

// full is a disk of nine clusters, all stored.
func full() *imgtest.Disk {
	return imgtest.New(9<<20, 1, imgtest.Run{Off: 0, Len: 9 << 20, Kind: imgtest.Noise})
}

func TestRefusedV2(t *testing.T) {
	formattest.Refused(t, Format{}, build(t, full(), recipe{}), []formattest.Bad{
		{Name: "empty file", Make: func([]byte) []byte { return nil }, Want: errcode.FormatMismatch},
		{Name: "not a parallels image", Make: func([]byte) []byte { return make([]byte, 4096) }, Want: errcode.FormatMismatch},
		{Name: "cut within the header", Make: func(b []byte) []byte { return b[:63] }, Want: errcode.Truncated},
		{Name: "cut within the BAT", Make: func(b []byte) []byte { return b[:64+35] }, Want: errcode.Truncated},
		{Name: "cut before the data area", Make: func(b []byte) []byte { return b[:4096] }, Want: errcode.Truncated},
		{Name: "cut within the last cluster", Make: formattest.Cut(1), Want: errcode.Truncated},
		{Name: "version 1", Make: set32(16, 1), Want: errcode.ParallelsHeader},
		{Name: "version 3", Make: set32(16, 3), Want: errcode.ParallelsHeader},
		{Name: "tracks 0", Make: set32(28, 0), Want: errcode.ParallelsHeader},
		{Name: "clusters of 2 TiB", Make: set32(28, 1<<32-1), Want: errcode.ParallelsHeader},
		{Name: "BAT too short", Make: set32(32, 8), Want: errcode.ParallelsHeader},
		{Name: "BAT of no entry", Make: set32(32, 0), Want: errcode.ParallelsHeader},
		{Name: "BAT of 16 GiB", Make: set32(32, 1<<32-1), Want: errcode.Truncated},
		{Name: "BAT up to the data and on", Make: set32(32, (1<<20-64)/4+1), Want: errcode.TableBounds},
		{Name: "size 0", Make: set64(36, 0), Want: errcode.VirtualSizeZero},
		{Name: "size above the BAT", Make: set64(36, 9<<11+1), Want: errcode.ParallelsHeader},
		{Name: "size above 2^63 bytes", Make: set64(36, 1<<54), Want: errcode.VirtualSizeTooLarge},
		{Name: "size of all ones", Make: set64(36, 1<<64-1), Want: errcode.VirtualSizeTooLarge},
		{Name: "size above the limit", Make: same, Want: errcode.VirtualSizeTooLarge, Limits: limits(func(l *formats.Limits) { l.VirtualSize = 9<<20 - 1 })},
		{Name: "in-use mark", Make: set32(44, 1), Want: errcode.ParallelsHeader},
		{Name: "data offset 0", Make: set32(48, 0), Want: errcode.ParallelsHeader},
		{Name: "data offset within a cluster", Make: set32(48, 2049), Want: errcode.ParallelsHeader},
		{Name: "data offset past the end", Make: set32(48, 0xFFFFF800), Want: errcode.Truncated},
		{Name: "data offset behind the first cluster", Make: set32(48, 4096), Want: errcode.TableBounds},
		{Name: "empty image bit with clusters", Make: set32(52, flagEmpty), Want: errcode.ParallelsHeader},
		{Name: "extension in the header", Make: set64(56, 1), Want: errcode.TableBounds},
		{Name: "extension within a cluster", Make: set64(56, 2048+1), Want: errcode.TableBounds},
		{Name: "extension past the end", Make: set64(56, 11*2048), Want: errcode.Truncated},
		{Name: "extension at all ones", Make: set64(56, 1<<64-1), Want: errcode.TableBounds},
		{Name: "extension at 2^64 bytes and on", Make: set64(56, 1<<55+11*2048), Want: errcode.TableBounds},
		{Name: "extension at 2^63 bytes", Make: set64(56, 1<<54), Want: errcode.TableBounds},
		{Name: "extension ends at 2^63 bytes", Make: set64(56, 1<<54-2048), Want: errcode.Truncated},
		{Name: "extension is a cluster of the guest", Make: set64(56, 3*2048), Want: errcode.AliasedBlocks},
		{Name: "cluster past the end", Make: entry(3, 10), Want: errcode.Truncated},
		{Name: "cluster far past the end", Make: entry(3, 1<<32-1), Want: errcode.Truncated},
		{Name: "two entries for one cluster", Make: entry(3, 5), Want: errcode.AliasedBlocks},
		{Name: "all entries for one cluster", Make: func(b []byte) []byte {
			for i := range 9 {
				b = entry(i, 1)(b)
			}
			return b
		}, Want: errcode.AliasedBlocks},
	})
}

func TestRefusedBeforeTheDataArea(t *testing.T) {
	formattest.Refused(t, Format{}, build(t, full(), recipe{gap: 1}), []formattest.Bad{
		{Name: "cluster between BAT and data area", Make: entry(3, 1), Want: errcode.TableBounds},
		{Name: "extension between BAT and data area", Make: set64(56, 2048), Want: errcode.TableBounds},
	})
}

// A BAT that is longer than its first cluster: an entry can lie within it.
func TestRefusedWithinTheBAT(t *testing.T) {
	formattest.Refused(t, Format{}, build(t, full(), recipe{tracks: 1}), []formattest.Bad{
		{Name: "cluster in the BAT", Make: entry(3, 1), Want: errcode.AliasedBlocks},
		{Name: "data area in the BAT", Make: set32(48, 1), Want: errcode.TableBounds},
	})
}

func TestRefusedV1(t *testing.T) {
	// 293 entries end at 64+1172 = 1236: the data area begins at sector 3.
	formattest.Refused(t, Format{}, build(t, full(), recipe{v1: true, tracks: 63, noDataOff: true}), []formattest.Bad{
		{Name: "cut", Make: formattest.Cut(63 * 512), Want: errcode.Truncated},
		{Name: "cluster in the header", Make: entry(0, 1), Want: errcode.AliasedBlocks},
		{Name: "cluster in the BAT", Make: entry(0, 2), Want: errcode.AliasedBlocks},
		{Name: "cluster off the grid", Make: entry(0, 4), Want: errcode.TableBounds},
		{Name: "cluster before the data area", Make: all(set32(48, 3+63), entry(0, 3)), Want: errcode.TableBounds},
		{Name: "clusters overlap by a sector", Make: entry(0, 3+63*2-1), Want: errcode.TableBounds},
		{Name: "two entries for one cluster", Make: entry(0, 3+63*2), Want: errcode.AliasedBlocks},
		{Name: "cluster past the end", Make: entry(0, 3+63*293), Want: errcode.Truncated},
		{Name: "cluster at the highest sector", Make: entry(0, 3+63*68174083), Want: errcode.Truncated},
		{Name: "data offset in the BAT", Make: set32(48, 2), Want: errcode.TableBounds},
		{Name: "data offset past the end", Make: set32(48, 1<<32-1), Want: errcode.Truncated},
		{Name: "size 0 in the lower half", Make: set64(36, 1<<32), Want: errcode.VirtualSizeZero},
		{Name: "size above the BAT", Make: set32(36, 293*63+1), Want: errcode.ParallelsHeader},
		{Name: "extension off the grid", Make: set64(56, 4), Want: errcode.TableBounds},
		{Name: "extension is a cluster of the guest", Make: set64(56, 3), Want: errcode.AliasedBlocks},
		{Name: "in-use mark", Make: set32(44, 0x746F6E58), Want: errcode.ParallelsHeader},
	})
}

func TestLimitsHoldExactly(t *testing.T) {
	b := build(t, full(), recipe{})
	v1 := build(t, full(), recipe{v1: true})
	for _, c := range []struct {
		name  string
		image []byte
		make  func([]byte) []byte
		size  int64 // limit of the virtual size
		want  errcode.Code
	}{
		{"virtual size at the limit", b, same, 9 << 20, ""},
		{"virtual size above the limit", b, same, 9<<20 - 1, errcode.VirtualSizeTooLarge},
		{"largest cluster", v1, set32(28, maxTracks), 9 << 20, ""},
		{"cluster above the largest", v1, set32(28, maxTracks+1), 9 << 20, errcode.ParallelsHeader},
		{"size up to the BAT", b, set64(36, 9<<11), 9 << 20, ""},
		{"BAT up to the data area", b, set32(32, (1<<20-64)/4), 9 << 20, ""},
	} {
		lim := formats.DefaultLimits()
		lim.VirtualSize = c.size
		img := c.make(bytes.Clone(c.image))
		if _, err := (Format{}).Open(bytes.NewReader(img), int64(len(img)), lim); errcode.Of(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Validate, a walk over the extents and a read each find a bad entry by
// themselves, also one that seems to go on with the cluster before it; a read
// gives all bytes before it.
func TestBadEntryIsFoundEverywhere(t *testing.T) {
	src := full()
	for _, c := range []struct {
		name string
		make func([]byte) []byte
		bad  int64 // cluster
		want errcode.Code
	}{
		{"cluster past the end", entry(3, 1000), 3, errcode.Truncated},
		{"last cluster cut", formattest.Cut(1), 8, errcode.Truncated},
		{"three clusters cut", formattest.Cut(2<<20 + 1), 6, errcode.Truncated},
		{"cluster at 2 PiB", entry(4, 0x80000000), 4, errcode.Truncated},
		{"extension within a run", set64(56, 5*2048), 4, errcode.AliasedBlocks},
		{"marked as empty", set32(52, flagEmpty), 0, errcode.ParallelsHeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.make(build(t, src, recipe{}))
			d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
			if _, err := d.(formats.Validator).Validate(t.Context()); errcode.Of(err) != c.want {
				t.Errorf("validate: %v, want %s", err, c.want)
			}
			off := int64(0)
			for off < d.Size() {
				e, err := d.ExtentAt(off)
				if err != nil {
					if errcode.Of(err) != c.want || off != c.bad<<20 {
						t.Errorf("extent at %d: %v, want %s at cluster %d", off, err, c.want, c.bad)
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
