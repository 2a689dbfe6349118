package blocks

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/rankmap"
	"ingest/formats/transfer"
	"ingest/internal/imgtest"
)

// A toy is a format with a table of 4-byte words, optional block heads and a
// tail.
type toy struct{ block, head, tail int64 }

func (t toy) Codec() string { return "toy" }

func (t toy) Layout(size int64) (Layout, error) {
	s := Shape{Format: "toy", VirtualSize: (size + 511) / 512 * 512, BlockSize: t.block, BlockHead: t.head, Tail: t.tail}
	s.Head = 512 + (4*s.Blocks()+511)/512*512
	return toyLayout{s}, nil
}

type toyLayout struct{ shape Shape }

func (l toyLayout) Shape() Shape { return l.shape }

func (l toyLayout) Head(v View) []Part {
	return []Part{
		Bytes(0, append([]byte("toy:"), v.ID[:]...)),
		Table32(512, binary.LittleEndian, v.Stored, ^uint32(0), func(rank int64) uint32 { return uint32(rank) }),
	}
}

func (l toyLayout) Tail(v View) []Part {
	if l.shape.Tail == 0 {
		return nil
	}
	return []Part{Words64(8, 2, binary.BigEndian, func(i int64) uint64 { return uint64(v.End + i) })}
}

func (l toyLayout) BlockHead(p []byte, off int64) {
	for i := range p {
		p[i] = byte(0xe0 + (off+int64(i))%7)
	}
}

// A sink keeps an output, and the state of the checkpoint at which it was told
// to stop.
type sink struct {
	buf    []byte
	stopAt int64 // guest offset of the checkpoint to stop at, 0 for never
	cp     formats.Checkpoint
}

var errStop = errors.New("stop")

func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	if need := off + int64(len(p)); need > int64(len(s.buf)) {
		s.buf = append(s.buf, make([]byte, need-int64(len(s.buf)))...)
	}
	return copy(s.buf[off:], p), nil
}

func (s *sink) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	if cp := state(); s.stopAt > 0 && cp.Off >= s.stopAt {
		s.cp = cp
		return errStop
	}
	return nil
}

func toys() []toy {
	return []toy{{4096, 0, 0}, {64 << 10, 0, 512}, {1 << 20, 512, 1024}, {8 << 20, 4096, 0}}
}

// exact is a disk whose extents are data only where bytes are not zero.
func exact(seed uint64, size int64) *imgtest.Disk {
	var runs []imgtest.Run
	for _, r := range imgtest.Random(seed, size, size/3).Runs() {
		if r.Kind.IsData() {
			runs = append(runs, r)
		}
	}
	return imgtest.New(size, seed, runs...)
}

func whole(t *testing.T, p formats.Plan) []byte {
	t.Helper()
	out := make([]byte, p.Size())
	if n, err := p.ReadAt(out, 0); int64(n) != p.Size() || err != nil && err != io.EOF {
		t.Fatalf("read the plan: %d of %d, %v", n, p.Size(), err)
	}
	return out
}

func TestTheEncoderFindsThePlan(t *testing.T) {
	for _, target := range toys() {
		for seed := uint64(1); seed < 6; seed++ {
			disk := exact(seed, 33<<20+int64(seed)*1024+77)
			p, err := Planner{target}.Plan(t.Context(), disk)
			if err != nil {
				t.Fatal(err)
			}
			want := whole(t, p)
			var s sink
			sum, err := (Encoder{Target: target}).Encode(t.Context(), &s, disk, formats.Checkpoint{})
			if err != nil || sum != p.Summary() {
				t.Fatalf("%+v: %+v, %v; the plan says %+v", target, sum, err, p.Summary())
			}
			s.buf = append(s.buf, make([]byte, len(want)-len(s.buf))...)
			if !bytes.Equal(s.buf, want) {
				t.Errorf("%+v seed %d: the encoder's bytes are not the plan's", target, seed)
			}
		}
	}
}

// TestTheEncoderFindsThePlanOfManyBlocks has more blocks in a row than a chunk of
// the set: the ids in the heads are one.
func TestTheEncoderFindsThePlanOfManyBlocks(t *testing.T) {
	const size = 40_000 * 512
	disk := imgtest.New(size, 3, imgtest.Run{Off: 0, Len: size, Kind: imgtest.Noise})
	target := toy{512, 0, 0}
	p, err := Planner{target}.Plan(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	var s sink
	if _, err := (Encoder{Target: target}).Encode(t.Context(), &s, disk, formats.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.buf, whole(t, p)) {
		t.Error("the encoder's bytes are not the plan's")
	}
}

func TestEncodeGoesOnAtItsCheckpoint(t *testing.T) {
	for _, target := range toys() {
		disk := exact(9, 40<<20+512)
		var full sink
		if _, err := (Encoder{Target: target}).Encode(t.Context(), &full, disk, formats.Checkpoint{}); err != nil {
			t.Fatal(err)
		}
		for off := int64(transfer.UnitBytes); off < disk.Size(); off += 3 * transfer.UnitBytes {
			s := sink{stopAt: off}
			if _, err := (Encoder{Target: target}).Encode(t.Context(), &s, disk, formats.Checkpoint{}); !errors.Is(err, errStop) {
				t.Fatalf("stop at %d: %v", off, err)
			}
			s.buf, s.stopAt = s.buf[:min(int64(len(s.buf)), s.cp.HostOff)], 0
			if _, err := (Encoder{Target: target}).Encode(t.Context(), &s, disk, s.cp); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.buf, full.buf) {
				t.Errorf("%+v: stopped at %d, the bytes are others", target, off)
			}
			broken := s.cp
			broken.State = append([]byte(nil), broken.State...)
			broken.State[9] ^= 1
			s.buf = nil
			if _, err := (Encoder{Target: target}).Encode(t.Context(), &s, disk, broken); err != nil || !bytes.Equal(s.buf, full.buf) {
				t.Errorf("%+v: a broken checkpoint is not a start: %v", target, err)
			}
		}
	}
}

func TestTable32FillsAnyRange(t *testing.T) {
	stored := rankmap.New(100_000)
	for i := int64(3); i < 100_000; i += 1 + i%977 {
		stored.SetRange(i, min(100_000, i+1+i%13))
	}
	stored.Seal()
	for _, absent := range []uint32{0, ^uint32(0)} {
		part := Table32(0, binary.BigEndian, stored, absent, func(rank int64) uint32 { return uint32(7 + rank) })
		want := make([]byte, part.Len)
		for i := range stored.Cap() {
			w := absent
			if stored.Has(i) {
				w = uint32(7 + stored.Rank(i))
			}
			binary.BigEndian.PutUint32(want[4*i:], w)
		}
		for off := int64(0); off < part.Len; off += 9973 {
			p := make([]byte, min(20_001+off%5, part.Len-off))
			if part.Fill(p, off); !bytes.Equal(p, want[off:off+int64(len(p))]) {
				t.Fatalf("%d bytes at %d are wrong", len(p), off)
			}
		}
	}
}
