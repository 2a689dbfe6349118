package vhdx

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// spec is the suite's view of one way to write. qemu-img 7.2 knows no logical
// sectors of 4096 bytes.
func spec(o Dynamic) formattest.WriterSpec {
	w := formattest.WriterSpec{
		Format:  Format{},
		Planner: blocks.Planner{Target: o},
		Encoder: func(workers int) formats.Encoder {
			return blocks.Encoder{Target: o, Engine: transfer.Engine{Workers: workers}}
		},
		VirtualSize: func(size int64) int64 {
			n := o.complete().LogicalSector
			return (size + n - 1) / n * n
		},
		Qemu: "vhdx", QemuCheck: true,
	}
	if o.LogicalSector == 4096 {
		w.Format, w.Qemu, w.QemuCheck = large{}, "", false
	}
	return w
}

// large reads disks with sectors of 4096 bytes and says nothing about these.
type large struct{ Format }

func (f large) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	d, err := f.Format.Open(r, size, lim)
	if err != nil {
		return nil, err
	}
	return largeDisk{d.(*disk)}, nil
}

type largeDisk struct{ *disk }

func (d largeDisk) Validate(ctx context.Context) ([]formats.Finding, error) {
	findings, err := d.disk.Validate(ctx)
	if len(findings) == 1 && findings[0].Code == errcode.VHDXSector4K {
		findings = nil
	}
	return findings, err
}

// TestWriter shows qemu-img no disk above 4 GiB: it reads every hole of a VHDX.
func TestWriter(t *testing.T) {
	small, big := spec(Dynamic{}), spec(Dynamic{})
	small.Disks = slices.DeleteFunc(formattest.WriterCases(), func(c imgtest.Case) bool { return c.Disk.Size() > 4<<30 })
	formattest.Writer(t, small)
	big.Qemu = ""
	for _, c := range formattest.WriterCases() {
		if c.Disk.Size() > 4<<30 {
			t.Run(c.Name, func(t *testing.T) { big.Disk(t, c.Disk) })
		}
	}
}

// TestWriterWithOptions writes a few disks: options only say where things lie.
// The second disk has two chunks.
func TestWriterWithOptions(t *testing.T) {
	small := imgtest.Random(70, 41<<20+77, 9<<20)
	chunks := imgtest.New(4<<30+33<<20, 71, imgtest.Run{Off: 4<<30 - 70, Len: 140, Kind: imgtest.Noise}, imgtest.Run{Off: 4<<30 + 33<<20 - 7, Len: 7, Kind: imgtest.Text})
	for _, o := range []Dynamic{{BlockSize: 2 << 20, PhysicalSector: 512}, {BlockSize: 32 << 20, UUID: formats.ID{1: 7}}} {
		t.Run(o.Codec(), func(t *testing.T) {
			w := spec(o)
			w.Disk(t, small)
			w.Qemu = "" // which reads every hole
			w.Disk(t, chunks)
		})
	}
}

// TestForwardPassIsThePlan writes disks whose extents are data where the bytes
// are not zeros and nowhere else: an encoder finds no others.
func TestForwardPassIsThePlan(t *testing.T) {
	for _, o := range []Dynamic{{}, {BlockSize: 8 << 20}, {LogicalSector: 4096}} {
		w := spec(o)
		w.Qemu, w.Same = "", true
		for seed := uint64(80); seed < 83; seed++ {
			d := imgtest.Random(seed, 37<<20+int64(seed)*512+9, 12<<20)
			runs := slices.DeleteFunc(slices.Clone(d.Runs()), func(r imgtest.Run) bool { return !r.Kind.IsData() })
			t.Run(fmt.Sprintf("%s seed %d", o.Codec(), seed), func(t *testing.T) { w.Disk(t, imgtest.New(d.Size(), seed, runs...)) })
		}
		w.Resumes(t, imgtest.Random(90, 40<<20+512, 12<<20))
	}
}
