package vmdk

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// packedDisk opens a streamOptimized disk.
func packedDisk(t testing.TB, b []byte) *disk {
	t.Helper()
	return formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t).(*disk)
}

func TestPackedGrains(t *testing.T) {
	// One grain table is full, the next has a hole and a short last grain.
	src := imgtest.New(36<<20+512, 1, imgtest.Run{Off: 0, Len: 32<<20 + 65536, Kind: imgtest.Text}, imgtest.Run{Off: 36 << 20, Len: 512, Kind: imgtest.Text})
	b := stream(t, src, dialect{footer: true, version: 3})
	d := packedDisk(t, b)
	for _, off := range []int64{0, 65536, 32<<20 - 1, 32 << 20, 36<<20 + 511} {
		p, ok, err := d.PackedAt(off)
		if !ok || err != nil {
			t.Fatalf("packed at %d: %v, %v", off, ok, err)
		}
		want := formats.Packed{Off: off &^ 65535, Len: min(65536, src.Size()-off&^65535), Size: 65536,
			HostOff: p.HostOff, HostLen: p.HostLen, Codec: formats.CodecZlib, Window: 15}
		if p != want {
			t.Errorf("packed at %d is %+v, want %+v", off, p, want)
		}
		stored := make([]byte, p.HostLen)
		if err := d.ReadHost(stored, p.HostOff); err != nil {
			t.Fatal(err)
		}
		z, err := d.Stream(p, stored)
		if n := int64(binary.LittleEndian.Uint32(b[p.HostOff+8:])); err != nil || !bytes.Equal(z, b[p.HostOff+12:][:n]) {
			t.Errorf("stream at %d: %d bytes, %v, want %d", off, len(z), err, n)
		}
		// The bound is to the next grain, or to the marker and table behind.
		if n := int64(len(z)); p.HostLen > n+grainHeaderBytes+2*sectorBytes {
			t.Errorf("%d bytes are to be read at %d for %d", p.HostLen, off, n)
		}
	}
	for _, off := range []int64{32<<20 + 65536, 36<<20 - 1} {
		if p, ok, err := d.PackedAt(off); ok || err != nil {
			t.Errorf("packed at %d, a hole: %+v, %v", off, p, err)
		}
	}
}

func TestPackedGrainsCostNothing(t *testing.T) {
	src := imgtest.New(40<<20, 1, imgtest.Run{Off: 0, Len: 33 << 20, Kind: imgtest.Text})
	if n := formattest.PackedCost(t, packedDisk(t, stream(t, src, dialect{version: 3}))); n != 0 {
		t.Errorf("%v allocations a grain", n)
	}
}

func TestPackedGrainsRefused(t *testing.T) {
	good := stream(t, full(), dialect{version: 3})
	first := int(gteOf(good, 0)) * sectorBytes
	le := binary.LittleEndian
	for _, c := range []struct {
		name string
		make func(b []byte)
		want errcode.Code
	}{
		{"good", func([]byte) {}, ""},
		{"marker of another grain", func(b []byte) { le.PutUint64(b[first:], 128) }, errcode.VMDKGrain},
		{"no bytes", func(b []byte) { le.PutUint32(b[first+8:], 0) }, errcode.VMDKGrain},
		{"more bytes than two grains", func(b []byte) { le.PutUint32(b[first+8:], 1<<17+1) }, errcode.VMDKGrain},
		{"reaches into the next grain", func(b []byte) { le.PutUint32(b[first+8:], (gteOf(b, 1)-gteOf(b, 0))*sectorBytes) }, errcode.VMDKGrain},
		{"in the descriptor", func(b []byte) { setGTE(b, 0, 1) }, errcode.AliasedBlocks},
		{"behind the end", func(b []byte) { setGTE(b, 0, 1<<31) }, errcode.Truncated},
	} {
		b := bytes.Clone(good)
		c.make(b)
		d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		r := d.(formats.PackedReader)
		p, ok, err := r.PackedAt(0)
		if err == nil && ok {
			stored := make([]byte, p.HostLen)
			if err := r.ReadHost(stored, p.HostOff); err != nil {
				t.Fatal(err)
			}
			_, err = r.Stream(p, stored)
			if errcode.Of(err) != c.want {
				t.Errorf("%s: stream: %v, want %q", c.name, err, c.want)
			}
		} else if errcode.Of(err) != c.want {
			t.Errorf("%s: %+v, %v, %v, want %q", c.name, p, ok, err, c.want)
		}
	}
}

func FuzzPacked(f *testing.F) {
	tiny := imgtest.New(1<<20+512, 1, imgtest.Run{Off: 70000, Len: 300, Kind: imgtest.Text}, imgtest.Run{Off: 1 << 20, Len: 512, Kind: imgtest.Text})
	f.Add(stream(f, tiny, dialect{footer: true, version: 3}))
	f.Add(stream(f, tiny, dialect{version: 3, shortLast: true}))
	f.Add(plainSeed())
	f.Fuzz(func(t *testing.T, data []byte) { formattest.FuzzPacked(t, Format{}, data) })
}
