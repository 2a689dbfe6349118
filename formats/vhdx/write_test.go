package vhdx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/imgtest"
)

// spec is the suite's view of one way to write. qemu-img 7.2 knows no logical
// sectors of 4096 bytes.
func spec(o Dynamic) formattest.WriterSpec {
	w := formattest.WriterSpec{
		Format:  Format{},
		Planner: blocks.Planner{Target: o},
		VirtualSize: func(size int64) int64 {
			n := o.complete().LogicalSector
			return (size + n - 1) / n * n
		},
		Qemu: "vhdx", QemuCheck: true,
	}
	if o.LogicalSector == 4096 {
		w.Qemu, w.QemuCheck = "", false
	}
	return w
}

// TestWriter leaves out the largest disk: qemu-img reads every hole of a VHDX.
func TestWriter(t *testing.T) {
	w := spec(Dynamic{})
	w.Disks = slices.DeleteFunc(formattest.WriterCases(), func(c imgtest.Case) bool { return c.Disk.Size() > 6<<30 })
	formattest.Writer(t, w)
}

// TestWriterWithOptions writes a few disks: options only say where things lie.
// The second disk has two chunks.
func TestWriterWithOptions(t *testing.T) {
	small := imgtest.Random(70, 41<<20+77, 9<<20)
	large := imgtest.New(4<<30+33<<20, 71, imgtest.Run{Off: 4<<30 - 70, Len: 140, Kind: imgtest.Noise}, imgtest.Run{Off: 4<<30 + 33<<20 - 7, Len: 7, Kind: imgtest.Text})
	for _, o := range []Dynamic{{BlockSize: 2 << 20, PhysicalSector: 512}, {BlockSize: 32 << 20, UUID: formats.ID{1: 7}}} {
		t.Run(o.Codec(), func(t *testing.T) {
			w := spec(o)
			w.Disk(t, small)
			w.Qemu = "" // which reads every hole
			w.Disk(t, large)
		})
	}
}

// keeper is a sink that keeps the output and the last checkpoint before it
// stops.
type keeper struct {
	out    []byte
	stopAt int64 // guest offset, 0 for never
	last   formats.Checkpoint
}

var errStop = errors.New("stop")

func (m *keeper) WriteAt(p []byte, off int64) (int, error) {
	if need := off + int64(len(p)) - int64(len(m.out)); need > 0 {
		m.out = append(m.out, make([]byte, need)...)
	}
	return copy(m.out[off:], p), nil
}

func (m *keeper) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	if cp := state(); m.stopAt > 0 && cp.Off >= m.stopAt {
		m.last = cp
		return errStop
	}
	return nil
}

// encoded returns the file that the encoder writes of a disk, which is stopped
// and resumed at the given guest offsets.
func encoded(t testing.TB, o Dynamic, workers int, disk formats.Disk, stops ...int64) []byte {
	t.Helper()
	e := blocks.Encoder{Target: o, Engine: transfer.Engine{Workers: workers}}
	m := &keeper{}
	for _, m.stopAt = range append(stops, 0) {
		sum, err := e.Encode(t.Context(), m, disk, m.last)
		if m.stopAt > 0 {
			if !errors.Is(err, errStop) {
				t.Fatalf("stopped at %d: %v", m.stopAt, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(m.out)) > sum.FileSize {
			t.Fatalf("%d bytes written of %d", len(m.out), sum.FileSize)
		}
		m.out = append(m.out, make([]byte, sum.FileSize-int64(len(m.out)))...)
	}
	return m.out
}

// withoutZeros returns the disk without its stored zeros, so that its extents
// say what a forward pass finds.
func withoutZeros(d *imgtest.Disk, seed uint64) *imgtest.Disk {
	runs := slices.DeleteFunc(slices.Clone(d.Runs()), func(r imgtest.Run) bool { return !r.Kind.IsData() })
	return imgtest.New(d.Size(), seed, runs...)
}

// TestForwardPassIsThePlan writes disks without looking at their extents, with
// and without interruptions.
func TestForwardPassIsThePlan(t *testing.T) {
	for _, o := range []Dynamic{{}, {BlockSize: 8 << 20}, {LogicalSector: 4096}} {
		for seed := uint64(80); seed < 83; seed++ {
			t.Run(fmt.Sprintf("%s seed %d", o.Codec(), seed), func(t *testing.T) {
				disk := withoutZeros(imgtest.Random(seed, 37<<20+int64(seed)*512+9, 12<<20), seed)
				want := planned(t, o, disk)
				if !bytes.Equal(encoded(t, o, 3, disk), want) {
					t.Error("the encoder writes other bytes than the plan has")
				}
				if !bytes.Equal(encoded(t, o, 1, disk, 1, 9<<20, 30<<20), want) {
					t.Error("the encoder, stopped and resumed, writes other bytes than the plan has")
				}
			})
		}
	}
}
