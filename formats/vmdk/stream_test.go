package vmdk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// streamWriter is the suite's view of Stream.
func streamWriter(s Stream) formattest.WriterSpec {
	return formattest.WriterSpec{Format: Format{}, Qemu: "vmdk", QemuCheck: true,
		Encoder: func(workers int) formats.Encoder {
			s := s
			s.Engine = transfer.Engine{Workers: workers}
			return s
		}}
}

func TestStreamWriter(t *testing.T) { formattest.Writer(t, streamWriter(Stream{})) }

func TestStreamWriterWithEveryLevel(t *testing.T) {
	disk := imgtest.Random(55, 70<<20+3*512, 8<<20)
	for level := MinCompressionLevel; level <= MaxCompressionLevel; level++ {
		t.Run(fmt.Sprint(level), func(t *testing.T) { streamWriter(Stream{CompressionLevel: level}).Disk(t, disk) })
	}
}

// streamed returns a disk as a streamOptimized file.
func streamed(t testing.TB, s Stream, disk formats.Disk) []byte {
	t.Helper()
	r, _ := formattest.Record(t, s, disk, nil)
	return r.Bytes
}

// TestStreamVersionIsRaisedWithTheBytes fails when the same input gives other
// bytes under the same version: raise streamVersion, and only then change the
// digest.
func TestStreamVersionIsRaisedWithTheBytes(t *testing.T) {
	const want = `vmdk streamOptimized v2 level=5 adapter=lsilogic hardware_version=4 name="generated-stream.vmdk" ` +
		"39773041cbdc24845be148670d5ae8ffe91cbd4028dbf9e3350e380584e4d8e0"
	s := Stream{}
	got := fmt.Sprintf("%s %x", s.Codec(), sha256.Sum256(streamed(t, s, imgtest.Random(60, 5<<20, 3<<20))))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestIllCheckpointStartsStreamAgain starts from checkpoints whose state is
// damaged.
func TestIllCheckpointStartsStreamAgain(t *testing.T) {
	disk := imgtest.Random(57, 80<<20, 20<<20)
	full, _ := formattest.Record(t, Stream{}, disk, func() bool { return true })
	good := full.Taken[len(full.Taken)/2]
	change := func(fn func(*formats.Checkpoint)) formats.Checkpoint {
		cp := good
		cp.State = bytes.Clone(cp.State)
		fn(&cp)
		return cp
	}
	for name, cp := range map[string]formats.Checkpoint{
		"a flipped bit":        change(func(c *formats.Checkpoint) { c.State[len(c.State)/2] ^= 4 }),
		"host offset wrong":    change(func(c *formats.Checkpoint) { c.HostOff += sectorBytes }),
		"host offset in head":  change(func(c *formats.Checkpoint) { c.HostOff = sectorBytes }),
		"another guest offset": change(func(c *formats.Checkpoint) { c.Off += transfer.UnitBytes }),
		"another level":        change(func(c *formats.Checkpoint) { c.Codec = Stream{CompressionLevel: 9}.Codec() }),
	} {
		t.Run(name, func(t *testing.T) {
			r := formattest.NewRecorder(t, Stream{}, disk)
			if _, err := (Stream{}).Encode(t.Context(), r, disk, cp); err != nil || !bytes.Equal(r.Bytes, full.Bytes) {
				t.Errorf("not a start from the beginning: %v", err)
			}
		})
	}
}

func TestStreamEndsWithItsSink(t *testing.T) {
	disk := imgtest.Random(1, 20<<20, 8<<20)
	r := formattest.NewRecorder(t, Stream{}, disk)
	r.Stop = errors.New("enough")
	if _, err := (Stream{}).Encode(t.Context(), r, disk, formats.Checkpoint{}); !errors.Is(err, r.Stop) {
		t.Errorf("encode: %v, want the sink's error", err)
	}
}

// TestStreamRefusesWhatSectorNumbersDoNotReach sets the builder to the end of
// what 32 bits can number.
func TestStreamRefusesWhatSectorNumbersDoNotReach(t *testing.T) {
	lengths := make([]byte, 4)
	lengths[1] = 2 // one grain of a sector
	unit := &transfer.Unit{Len: grainBytes, Data: make([]byte, grainBytes), Buf: append(lengths, make([]byte, sectorBytes)...)}
	for free, want := range map[int64]errcode.Code{0: errcode.VirtualSizeTooLarge, 1: "", 2: ""} {
		b := newStreamBuilder(discard{}, 1<<30)
		b.pos = (maxSector - free) * sectorBytes
		if err := b.unit(unit); errcode.Of(err) != want {
			t.Errorf("%d sectors free: %v, want %q", free, err, want)
		}
	}
	b := newStreamBuilder(discard{}, 1<<30)
	b.at, b.pos = 0, maxSector*sectorBytes
	if err := b.closeTable(); errcode.Of(err) != errcode.VirtualSizeTooLarge {
		t.Errorf("table behind the last sector: %v", err)
	}
	for size, want := range map[int64]errcode.Code{0: errcode.VirtualSizeZero, maxStreamBytes: "", maxStreamBytes + 1: errcode.VirtualSizeTooLarge} {
		if _, _, err := (Stream{}).check(size); errcode.Of(err) != want {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
	}
}

// discard takes the output of an encoder.
type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (discard) Checkpoint(context.Context, func() formats.Checkpoint) error {
	return nil
}

// TestStreamIsAboutAsSmallAsQemus packs the test's own program.
func TestStreamIsAboutAsSmallAsQemus(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	program = program[:len(program)&^(sectorBytes-1)]
	raw := filepath.Join(t.TempDir(), "program.raw")
	if err := os.WriteFile(raw, program, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := imgtest.OpenFile(t, imgtest.Convert(t, raw, "raw", "vmdk", "subformat=streamOptimized")).Size()
	if ours := int64(len(streamed(t, Stream{}, flatDisk{bytes.NewReader(program)}))); ours > theirs*106/100 {
		t.Errorf("%d bytes; qemu-img makes %d", ours, theirs)
	}
}

// TestWorkersDoNotAllocate works on the same unit again and again.
func TestWorkersDoNotAllocate(t *testing.T) {
	imgtest.CountsAllocations(t)
	data := make([]byte, transfer.UnitBytes)
	imgtest.ReadFull(t, imgtest.Random(3, transfer.UnitBytes, transfer.UnitBytes), data, 0)
	w := newGrainWorkshop(DefaultCompressionLevel, nil, 1)
	u := &transfer.Unit{Len: transfer.UnitBytes, Data: data}
	work := func() {
		if err := w.unit(t.Context(), 0, u); err != nil {
			t.Error(err)
		}
	}
	work()
	if n := testing.AllocsPerRun(5, work); n > 1 {
		t.Errorf("a unit of %d grains allocates %v times", transfer.UnitBytes/grainBytes, n)
	}
}
