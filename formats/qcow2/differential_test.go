package qcow2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// agree fails the test unless the own data path and the module show the same
// bytes and the same extents of an image, read in pieces of which most fit no
// cluster.
func agree(t *testing.T, image []byte) {
	t.Helper()
	own := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
	other := formattest.OpenBytes(Witness{}, bytes.NewReader(image), int64(len(image)))(t)
	buf, want := make([]byte, 1<<20), make([]byte, 1<<20)
	for e, err := range formats.Extents(own, 0, own.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if w, err := other.ExtentAt(e.Off); err != nil || w.State != e.State || w.HostOff != e.HostOff {
			t.Fatalf("extent %+v is %+v to the witness, %v", e, w, err)
		}
		for off, i := e.Off, 0; off < e.End() && e.State == formats.Data; i++ {
			n := min(e.End()-off, [...]int64{1 << 20, 70_001, 4096, 513}[i%4])
			imgtest.ReadFull(t, own, buf[:n], off)
			imgtest.ReadFull(t, other, want[:n], off)
			if !bytes.Equal(buf[:n], want[:n]) {
				t.Fatalf("%d bytes at %d differ from the witness's", n, off)
			}
			off += n
		}
	}
}

// TestAgreesWithTheWitness holds the two ways to the bytes against each other
// for what this package writes.
func TestAgreesWithTheWitness(t *testing.T) {
	disk := imgtest.Random(32, 5<<20+3*512, 3<<20)
	for _, bits := range []int{9, 12, 16, 21} {
		for _, comp := range compressions {
			t.Run(fmt.Sprintf("%d bits %s", bits, comp), func(t *testing.T) {
				agree(t, encode(t, Encoder{ClusterBits: bits, Compression: comp}, disk, nil).buf)
			})
		}
	}
}

// TestWitnessReadsEveryCase runs the reader's suite over the witness.
func TestWitnessReadsEveryCase(t *testing.T) {
	for i, c := range imgtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			image := encode(t, Encoder{Compression: compressions[i%3]}, c.Disk, nil).buf
			open := formattest.OpenBytes(Witness{}, bytes.NewReader(image), int64(len(image)))
			imgtest.EqualDisk(t, open(t), c.Disk)
			if open(t).Info().Format != formats.QCOW2 || (Witness{}).Name() != formats.QCOW2 ||
				!(Witness{}).Match(image[:formats.TailLen], nil, int64(len(image))).OK {
				t.Error("the witness reads another format")
			}
		})
	}
}

// TestWitnessRefusesTheSame opens damaged images with both.
func TestWitnessRefusesTheSame(t *testing.T) {
	good := goodImage(t, "-c")
	formattest.Refused(t, Witness{}, good, []formattest.Bad{
		{Name: "version 4", Make: put32(4, 4), Want: errcode.QCOW2Version},
		{Name: "backing file", Make: both(put64(8, 1024), put32(16, 11)), Want: errcode.QCOW2BackingFile},
		{Name: "garbled", Make: func(b []byte) []byte {
			copy(b[firstCompressed(b):], bytes.Repeat([]byte{0xFF}, 64))
			return b
		}, Want: errcode.CompressionCorrupt},
		{Name: "file cut", Make: formattest.Cut(100 << 10), Want: errcode.Truncated},
	})
}

// TestDamagedDataAreTheSame flips bits of the data clusters, whose structure
// stays sound.
func TestDamagedDataAreTheSame(t *testing.T) {
	disk := imgtest.New(150<<10, 3, imgtest.Run{Off: 0, Len: 40_000, Kind: imgtest.Text}, imgtest.Run{Off: 90_000, Len: 9000, Kind: imgtest.Noise})
	for _, comp := range compressions {
		good := encode(t, Encoder{ClusterBits: 12, Compression: comp}, disk, nil).buf
		image := bytes.Clone(good)
		rng := rand.New(rand.NewPCG(4, 2))
		for range 400 {
			at := 4096 + rng.IntN(len(image)-4096)
			image[at] ^= 1 << rng.IntN(8)
			differential(t, image)
			if rng.IntN(3) > 0 {
				copy(image, good)
			}
		}
	}
}

// FuzzDifferential mutates sound images and holds the own data path against the
// module wherever the structure is still sound: equal bytes, or both refuse.
func FuzzDifferential(f *testing.F) {
	formattest.Seeds(f)
	disk := imgtest.New(150<<10, 3, imgtest.Run{Off: 0, Len: 9000, Kind: imgtest.Text},
		imgtest.Run{Off: 40 << 10, Len: 6000, Kind: imgtest.Noise}, imgtest.Run{Off: 100 << 10, Len: 5000, Kind: imgtest.Text})
	for _, bits := range []int{9, 12} {
		for _, comp := range compressions {
			image := encode(f, Encoder{ClusterBits: bits, Compression: comp, Engine: transfer.Engine{Workers: 1}}, disk, nil).buf
			f.Add(image, uint32(0), uint64(0))
			f.Add(image, uint32(len(image)-300), uint64(0x0102030405060708))
		}
	}
	f.Add(extendedSeed(), uint32(3<<minExtendedBits+8), uint64(0xF0F0_0F0F))
	f.Fuzz(func(t *testing.T, image []byte, at uint32, change uint64) {
		if len(image) > 1<<20 {
			return
		}
		image = bytes.Clone(image)
		if int64(at)+8 <= int64(len(image)) {
			binary.LittleEndian.PutUint64(image[at:], binary.LittleEndian.Uint64(image[at:])^change)
		}
		differential(t, image)
	})
}

func differential(t *testing.T, image []byte) {
	t.Helper()
	lim := formattest.FuzzLimits()
	lim.VirtualSize = 16 << 20
	own, err := Format{}.Open(bytes.NewReader(image), int64(len(image)), lim)
	if err != nil || own.Info().Unreadable != nil {
		return
	}
	if _, err := own.(formats.Validator).Validate(t.Context()); err != nil {
		return
	}
	other, err := Witness{}.Open(bytes.NewReader(image), int64(len(image)), lim)
	if err != nil {
		t.Fatalf("only the witness refuses to open: %v", err)
	}
	cluster := own.Info().BlockSize
	buf, want := make([]byte, 3*cluster+100), make([]byte, 3*cluster+100)
	for e, err := range formats.Extents(own, 0, own.Size()) {
		if err != nil {
			t.Fatalf("extents of a sound image: %v", err)
		}
		for off := e.Off; off < e.End() && e.State == formats.Data; {
			// In turn a piece of a cluster and what fits no cluster.
			n := min(e.End()-off, cluster/3+1)
			same(t, own, other, buf[:n], want[:n], off)
			n = min(e.End()-off, int64(len(buf)))
			same(t, own, other, buf[:n], want[:n], off)
			off += n
		}
	}
}

// same reads through both. The module stops reading a zstd frame when it has a
// cluster; the own path demands as QEMU does that the frame ends there, so it
// may refuse alone.
func same(t *testing.T, own, other formats.Disk, p, q []byte, off int64) {
	t.Helper()
	_, err := own.ReadAt(p, off)
	_, err2 := other.ReadAt(q, off)
	zstd := own.(*Disk).h.compression == compressZstd
	switch {
	case err == nil && err2 == nil:
		if !bytes.Equal(p, q) {
			t.Fatalf("%d bytes at %d differ", len(p), off)
		}
	case err2 != nil && err == nil:
		t.Fatalf("read %d bytes at %d: only the witness refuses: %v", len(p), off, err2)
	case errcode.Of(err) != errcode.CompressionCorrupt:
		t.Fatalf("read %d bytes at %d of a sound image: %v; witness: %v", len(p), off, err, err2)
	case err2 == nil && !zstd:
		t.Fatalf("read %d bytes at %d: only the own path refuses: %v", len(p), off, err)
	}
}
