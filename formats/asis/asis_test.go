package asis

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"math/rand"
	"testing"

	klauspost "github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"ingest/formats"
)

const cluster = 64 << 10

// one is a disk of one cluster, whose only stream is what a test says.
type one struct {
	formats.Disk
	packed formats.Packed
	stored []byte
	broken error
}

func (d one) PackedAt(off int64) (formats.Packed, bool, error) {
	return d.packed, off >= d.packed.Off && off < d.packed.Off+d.packed.Size, nil
}

func (d one) ReadHost(buf []byte, hostOff int64) error {
	copy(buf, d.stored[hostOff:])
	return d.broken
}

func (d one) Stream(_ formats.Packed, stored []byte) ([]byte, error) { return stored, nil }

func of(codec formats.Codec, window uint8, stored []byte) one {
	return one{stored: stored, packed: formats.Packed{Len: cluster, Size: cluster, HostLen: int64(len(stored)), Codec: codec, Window: window}}
}

// text repeats itself at a distance, so that a deflater with a window that is large
// enough refers that far back.
func text(distance int) []byte {
	p := make([]byte, cluster)
	rand.New(rand.NewSource(1)).Read(p[:distance])
	for i := distance; i < len(p); i += distance {
		copy(p[i:], p[:distance])
	}
	return p
}

func deflated(t *testing.T, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zlibbed(p []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(p)
	w.Close()
	return b.Bytes()
}

func TestDeflate(t *testing.T) {
	near, far := text(1000), text(20_000)
	behind := append(bytes.Clone(deflated(t, near)), "and the next cluster's"...)
	var small bytes.Buffer
	w, err := klauspost.NewWriterWindow(&small, 4<<10)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(far)
	w.Close()
	tests := []struct {
		name   string
		disk   one
		p      []byte
		window int
		want   []byte // nil: not passed on
	}{
		{"as it is", of(formats.CodecDeflate, 12, deflated(t, near)), near, 4 << 10, deflated(t, near)},
		{"cut where it ends", of(formats.CodecDeflate, 12, behind), near, 4 << 10, deflated(t, near)},
		{"small window", of(formats.CodecDeflate, 12, small.Bytes()), far, 4 << 10, small.Bytes()},
		{"large window for readers of a large one", of(formats.CodecDeflate, 15, deflated(t, far)), far, 32 << 10, deflated(t, far)},
		{"without its wrapper", of(formats.CodecZlib, 15, zlibbed(near)), near, 32 << 10, zlibbed(near)[2 : len(zlibbed(near))-4]},
		{"a source that lies about its window", of(formats.CodecDeflate, 12, deflated(t, far)), far, 4 << 10, nil},
		{"a format of a larger window", of(formats.CodecDeflate, 15, deflated(t, near)), near, 4 << 10, nil},
		{"other bytes", of(formats.CodecDeflate, 12, deflated(t, far)), near, 32 << 10, nil},
		{"too few bytes", of(formats.CodecDeflate, 12, deflated(t, near[:cluster-1])), near, 4 << 10, nil},
		{"too many bytes", of(formats.CodecDeflate, 12, deflated(t, append(bytes.Clone(near), 0))), near, 4 << 10, nil},
		{"cut short", of(formats.CodecDeflate, 12, deflated(t, near)[:100]), near, 4 << 10, nil},
		{"wrong checksum", of(formats.CodecZlib, 15, append(zlibbed(near)[:len(zlibbed(near))-1], 0x55)), near, 32 << 10, nil},
		{"another codec", of(formats.CodecZstd, 0, zstded(t, near)), near, 4 << 10, nil},
		{"nothing", of(formats.CodecDeflate, 12, nil), near, 4 << 10, nil},
		{"more than a cluster can be", of(formats.CodecDeflate, 12, make([]byte, 1<<20)), near, 4 << 10, nil},
		{"the last, short cluster", of(formats.CodecDeflate, 12, deflated(t, near)), near[:512], 4 << 10, nil},
	}
	var taker Taker
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := taker.Deflate(Of(tt.disk, cluster), 0, tt.p, tt.window)
			if err != nil || ok != (tt.want != nil) || !bytes.Equal(got, tt.want) {
				t.Errorf("%d bytes, %v, %v; want %d", len(got), ok, err, len(tt.want))
			}
		})
	}
}

func zstded(t *testing.T, p []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(p, nil)
}

func TestZstd(t *testing.T) {
	p := text(1000)
	two := append(zstded(t, p[:cluster/2]), zstded(t, p[cluster/2:])...)
	tests := []struct {
		name string
		disk one
		p    []byte
		want []byte
	}{
		{"as it is", of(formats.CodecZstd, 0, zstded(t, p)), p, zstded(t, p)},
		{"one segment", of(formats.CodecZstd, 0, zstded(t, p, zstd.WithSingleSegment(true))), p, zstded(t, p, zstd.WithSingleSegment(true))},
		{"two frames", of(formats.CodecZstd, 0, two), p, nil},
		{"other bytes", of(formats.CodecZstd, 0, zstded(t, text(999))), p, nil},
		{"skippable frame", of(formats.CodecZstd, 0, append([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0}, zstded(t, p)...)), p, nil},
		{"vast window", of(formats.CodecZstd, 0, vastWindow()), p, nil},
		{"cut short", of(formats.CodecZstd, 0, zstded(t, p)[:50]), p, nil},
		{"another codec", of(formats.CodecDeflate, 12, deflated(t, p)), p, nil},
	}
	var taker Taker
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok, err := taker.Zstd(Of(tt.disk, cluster), 0, tt.p)
			if err != nil || ok != (tt.want != nil) || !bytes.Equal(got, tt.want) {
				t.Errorf("%d bytes, %v, %v; want %d", len(got), ok, err, len(tt.want))
			}
		})
	}
}

// vastWindow is the header of a frame with a window of 1 GiB and no content size;
// RFC 8878 section 3.1.1.1.2.
func vastWindow() []byte { return []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 1, 0, 0} }

// TestPlaces refuses streams that stand for another run of the guest.
func TestPlaces(t *testing.T) {
	p := text(1000)
	var taker Taker
	for name, change := range map[string]func(*formats.Packed){
		"another border": func(k *formats.Packed) { k.Off = -512 },
		"another size":   func(k *formats.Packed) { k.Size = 2 * cluster },
		"cut by the end": func(k *formats.Packed) { k.Len = cluster - 512 },
	} {
		d := of(formats.CodecDeflate, 12, deflated(t, p))
		change(&d.packed)
		if _, ok, err := taker.Deflate(Of(d, cluster), 0, p, 4<<10); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

// TestSourceFails tells a source that cannot be read from one that has no stream:
// what is written must be the same at the next attempt.
func TestSourceFails(t *testing.T) {
	p := text(1000)
	d := of(formats.CodecDeflate, 12, deflated(t, p))
	d.broken = errors.New("gone")
	var taker Taker
	if _, _, err := taker.Deflate(Of(d, cluster), 0, p, 4<<10); !errors.Is(err, d.broken) {
		t.Error(err)
	}
	if Of(struct{ formats.Disk }{}, cluster) != nil {
		t.Error("a disk that keeps no streams has some")
	}
	if _, ok, err := taker.Deflate(nil, 0, p, 4<<10); ok || err != nil {
		t.Error(ok, err)
	}
}
