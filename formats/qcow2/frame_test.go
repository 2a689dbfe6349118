package qcow2

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ingest/formats/formattest"
	"ingest/internal/errcode"
)

// packedImage returns an image of one cluster of 4 KiB whose compressed bytes
// are the given ones.
func packedImage(compression uint8, packed []byte) []byte {
	const cs = 4096
	h := header{clusterBits: 12, size: cs, l1Entries: 1, l1Off: cs, refTableOff: 2 * cs, refTableLen: 1, compression: compression}
	if compression == compressZstd {
		h.incompatible = featureCompression
	}
	b := make([]byte, 4*cs, 6*cs)
	copy(b, h.marshal())
	binary.BigEndian.PutUint64(b[cs:], entryCopied|3*cs)
	sectors := uint64(len(packed)+511)/512 - 1
	binary.BigEndian.PutUint64(b[3*cs:], entryCompressed|sectors<<58|4*cs)
	b = append(b, packed...)
	return append(b, make([]byte, 2*cs-len(packed))...)
}

// TestZstdFrames reads clusters made of frames in every form, and refuses those
// that are not a cluster.
func TestZstdFrames(t *testing.T) {
	want := words(4096)
	frame := func(p []byte, opts ...zstd.EOption) []byte {
		w, err := zstd.NewWriter(nil, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(p, nil)
	}
	var streamed bytes.Buffer
	w, _ := zstd.NewWriter(&streamed, zstd.WithEncoderConcurrency(1))
	for i := range 8 {
		w.Write(want[i*512 : (i+1)*512])
		w.Flush()
	}
	w.Close()
	whole := frame(want)
	flipped := bytes.Clone(frame(want, zstd.WithEncoderCRC(true)))
	flipped[len(flipped)-1] ^= 1
	junk := bytes.Repeat([]byte{0xA7}, 40)
	skip := append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, skipMagic|3), 5), "hello"...)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name   string
		packed []byte
		good   bool
	}{
		{"one frame", whole, true},
		{"one frame and junk", join(whole, junk), true},
		{"one frame and another", join(whole, whole), true},
		{"checksum", frame(want, zstd.WithEncoderCRC(true)), true},
		{"single segment", frame(want, zstd.WithSingleSegment(true)), true},
		{"unknown content size", streamed.Bytes(), true},
		{"two frames", join(frame(want[:1000]), frame(want[1000:])), true},
		{"a skippable frame before", join(skip, whole), true},
		{"wrong checksum", flipped, false},
		{"short", frame(want[:4095]), false},
		{"long", frame(words(4097)), false},
		{"much longer", frame(make([]byte, 1<<20)), false},
		{"two frames too long", join(frame(want[:1000]), frame(want)), false},
		{"cut", whole[:len(whole)-20], false},
		{"junk", junk, false},
		{"only a skippable frame", skip, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			image := packedImage(compressZstd, c.packed)
			d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
			if got := d.Info().Compression; got != "zstd" {
				t.Errorf("compression is %q", got)
			}
			for _, n := range []int{4096, 100} {
				p := make([]byte, n)
				if _, err := d.ReadAt(p, 0); c.good && (err != nil || !bytes.Equal(p, want[:n])) {
					t.Errorf("read of %d bytes: %v, or other bytes", n, err)
				} else if !c.good && errcode.Of(err) != errcode.CompressionCorrupt {
					t.Errorf("read of %d bytes: %v, want %s", n, err, errcode.CompressionCorrupt)
				}
			}
		})
	}
}

// FuzzFrameLen walks arbitrary bytes, and frames with bytes behind them.
func FuzzFrameLen(f *testing.F) {
	formattest.Seeds(f)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<20))
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 1, 300, 70_000} {
		f.Add(w.EncodeAll(words(n), nil))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if n, err := frameLen(p); err == nil && (n < 8 || n > len(p)) {
			t.Fatalf("frame of %d bytes in %d", n, len(p))
		}
		frame := w.EncodeAll(p, nil)
		if n, err := frameLen(append(bytes.Clone(frame), p...)); err != nil || n != len(frame) {
			t.Fatalf("frame of %d bytes is found to have %d, %v", len(frame), n, err)
		}
		// A frame that the decoder takes whole is one to the walk too.
		if _, err := r.DecodeAll(p, nil); err == nil && len(p) > 0 {
			if _, err := frameLen(p); err != nil {
				t.Fatalf("the decoder takes %x, the walk does not: %v", p, err)
			}
		}
	})
}
