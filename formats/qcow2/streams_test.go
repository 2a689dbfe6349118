package qcow2

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// packedDisk opens a compressed image as this package writes it.
func packedDisk(t testing.TB, compression string, src *imgtest.Disk) (*Disk, []byte) {
	t.Helper()
	b := encode(t, Encoder{Compression: compression}, src, nil).buf
	return formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t).(*Disk), b
}

func TestPackedClusters(t *testing.T) {
	src := imgtest.New(2<<20+512, 1, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Text},
		imgtest.Run{Off: 1<<20 + 65536, Len: 100, Kind: imgtest.Zero}, imgtest.Run{Off: 2 << 20, Len: 512, Kind: imgtest.Text})
	for compression, want := range map[string]formats.Packed{
		CompressionZlib: {Codec: formats.CodecDeflate, Window: 12},
		CompressionZstd: {Codec: formats.CodecZstd},
	} {
		d, b := packedDisk(t, compression, src)
		last := int64(0)
		for _, off := range []int64{0, 65536, 1<<20 - 1, 2<<20 + 511} {
			p, ok, err := d.PackedAt(off)
			if !ok || err != nil || p.Codec != want.Codec || p.Window != want.Window || p.Size != 65536 {
				t.Fatalf("%s: packed at %d is %+v, %v, %v", compression, off, p, ok, err)
			}
			if want := min(65536, src.Size()-p.Off); p.Off != off&^65535 || p.Len != want || p.HostOff <= last {
				t.Errorf("%s: packed at %d is %+v, want %d bytes", compression, off, p, want)
			}
			last = p.HostOff
		}
		for _, off := range []int64{1 << 20, 1<<20 + 65536} {
			if p, ok, err := d.PackedAt(off); ok || err != nil {
				t.Errorf("%s: packed at %d, a hole: %+v, %v", compression, off, p, err)
			}
		}
		if err := d.ReadHost(make([]byte, len(b)), 0); err != nil {
			t.Errorf("%s: read the whole file: %v", compression, err)
		}
	}
}

func TestPackedClustersCostNothing(t *testing.T) {
	src := imgtest.New(8<<20, 1, imgtest.Run{Off: 0, Len: 6 << 20, Kind: imgtest.Text})
	for _, compression := range []string{CompressionZlib, CompressionZstd} {
		d, _ := packedDisk(t, compression, src)
		if n := formattest.PackedCost(t, d); n != 0 {
			t.Errorf("%s: %v allocations a cluster", compression, n)
		}
	}
}

func TestPackedAtRefuses(t *testing.T) {
	src := imgtest.New(200<<10, 1, imgtest.Run{Off: 0, Len: 200 << 10, Kind: imgtest.Text})
	good, b := packedDisk(t, CompressionZstd, src)
	table := good.l1[0] & entryOffset
	for _, c := range []struct {
		name  string
		entry uint64
		want  errcode.Code
	}{
		{"copied", binary.BigEndian.Uint64(b[table:]) | entryCopied, errcode.TableBounds},
		{"on the header", entryCompressed | 100, errcode.TableBounds},
		{"behind the end", entryCompressed | 1<<40, errcode.Truncated},
	} {
		bad := bytes.Clone(b)
		binary.BigEndian.PutUint64(bad[table:], c.entry)
		d, err := Format{}.Open(bytes.NewReader(bad), int64(len(bad)), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if p, ok, err := d.(*Disk).PackedAt(1000); ok || errcode.Of(err) != c.want {
			t.Errorf("%s: %+v, %v, %v, want %s", c.name, p, ok, err, c.want)
		}
		if _, ok, err := d.(*Disk).PackedAt(65536); !ok || err != nil {
			t.Errorf("%s: the next cluster: %v, %v", c.name, ok, err)
		}
	}
	p, _, err := good.PackedAt(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := good.Stream(p, make([]byte, p.HostLen)); errcode.Of(err) != errcode.CompressionCorrupt {
		t.Errorf("stream of zeros: %v, want %s", err, errcode.CompressionCorrupt)
	}
}

func TestFramesLen(t *testing.T) {
	frame := func(n int, options ...zstd.EOption) []byte {
		w, err := zstd.NewWriter(nil, options...)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(bytes.Repeat([]byte("some text"), n/9+1)[:n], nil)
	}
	var open bytes.Buffer // a frame that does not tell its size
	w, err := zstd.NewWriter(&open)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.Write(bytes.Repeat([]byte("t"), 100_000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	skip := append(binary.LittleEndian.AppendUint32(nil, skipMagic+3), 2, 0, 0, 0, 9, 9)
	for _, c := range []struct {
		name   string
		frames [][]byte
		size   int64
		used   int
	}{
		{"sizes of one byte", [][]byte{frame(200, zstd.WithSingleSegment(true)), frame(50)}, 200, 1},
		{"of two", [][]byte{frame(400, zstd.WithSingleSegment(true)), frame(50)}, 400, 1},
		{"of two, less than 256 over", [][]byte{frame(65_791), frame(50)}, 65_791, 1},
		{"of four", [][]byte{frame(65_792), frame(50)}, 65_792, 1},
		{"of a window too", [][]byte{frame(1<<21, zstd.WithWindowSize(1<<16)), frame(50)}, 1 << 21, 1},
		{"two frames", [][]byte{frame(40_000), frame(25_536), frame(50)}, 65_536, 2},
		{"a frame to skip", [][]byte{skip, frame(65_536), skip}, 65_536, 2},
		{"size not told", [][]byte{open.Bytes(), frame(50)}, 300_000, 1},
		{"more than asked for", [][]byte{frame(1000), frame(50)}, 999, 1},
	} {
		var all []byte
		want := 0
		for i, f := range c.frames {
			if all = append(all, f...); i < c.used {
				want = len(all)
			}
		}
		for _, tail := range []string{"", "\x28\xb5\x2f\xfd", "anything"} {
			if got, err := framesLen(append(bytes.Clone(all), tail...), c.size); got != want || err != nil {
				t.Errorf("%s: %d, %v, want %d of %d", c.name, got, err, want, len(all))
			}
		}
	}
	if n, err := framesLen(frame(1000), 1001); err == nil {
		t.Errorf("frames that end early: %d", n)
	}
}

func FuzzPacked(f *testing.F) {
	src := imgtest.New(40<<10, 3, imgtest.Run{Off: 0, Len: 30 << 10, Kind: imgtest.Text})
	for _, bits := range []int{9, 12} {
		for _, comp := range compressions {
			f.Add(encode(f, Encoder{ClusterBits: bits, Compression: comp}, src, nil).buf)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { formattest.FuzzPacked(t, Format{}, data) })
}
