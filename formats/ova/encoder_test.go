package ova

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/formats/vmdk"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// stream makes the disks' encoder.
func stream(e transfer.Engine) formats.Encoder { return vmdk.Stream{CompressionLevel: 1, Engine: e} }

// openVMDK opens a member.
func openVMDK(_ string, r io.ReaderAt, size int64) (formats.Disk, error) {
	return vmdk.Format{}.Open(r, size, formats.DefaultLimits())
}

// opened opens an OVA and checks its manifest.
func opened(t testing.TB, r io.ReaderAt, size int64) *Package {
	t.Helper()
	p, err := Open(r, size, formats.DefaultLimits(), openVMDK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if n, err := p.Verify(t.Context()); err != nil || n != 1+len(p.Disks) {
		t.Fatalf("%d digests, %v", n, err)
	}
	return p
}

// format lets the suite open the first disk of what is written.
type format struct{}

func (format) Name() formats.Name                       { return formats.VMDK }
func (format) Match(_, _ []byte, _ int64) formats.Match { return formats.Match{} }
func (format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	p, err := Open(r, size, lim, openVMDK)
	if err != nil {
		return nil, err
	}
	// The suite compares host offsets with the whole file.
	return inOVA{p.Disks[0].Disk}, nil
}

// inOVA is a disk without the methods and host offsets of its format.
type inOVA struct{ formats.Disk }

func (d inOVA) ExtentAt(off int64) (formats.Extent, error) {
	e, err := d.Disk.ExtentAt(off)
	e.HostOff, e.Compressed = -1, false
	return e, err
}

// Validate has the disk's own structure checked.
func (d inOVA) Validate(t context.Context) ([]formats.Finding, error) {
	return d.Disk.(formats.Validator).Validate(t)
}

// spec is the suite's view of an encoder.
func spec(e Encoder) formattest.WriterSpec {
	return formattest.WriterSpec{Format: format{}, Encoder: func(workers int) formats.Encoder {
		e := e
		e.Disk = stream
		e.Engine = transfer.Engine{Workers: workers}
		return e
	}}
}

func TestWriter(t *testing.T) { formattest.Writer(t, spec(Encoder{})) }

func TestWriterOfSeveralDisks(t *testing.T) {
	more := []formats.Disk{imgtest.Random(81, 9<<20+512, 4<<20), imgtest.New(3<<20, 1), imgtest.Random(82, 5<<30, 6<<20)}
	s := spec(Encoder{More: more})
	s.Resumes(t, imgtest.Random(40, 48<<20+3*512, 20<<20))
	s.Disk(t, imgtest.Random(41, 20<<20+77, 6<<20))
}

// TestDisksAndDigests reads every disk back, in order, and compares the content
// digests that were taken on the way.
func TestDisksAndDigests(t *testing.T) {
	disks := []*imgtest.Disk{imgtest.Random(1, 20<<20, 9<<20), imgtest.Random(2, 7<<20+512, 3<<20), imgtest.New(1<<20, 3), imgtest.Random(4, 9<<30, 5<<20)}
	e := Encoder{Options: Options{Name: "four.disks"}, Disk: stream}
	var reached []int64
	e.Engine = transfer.Engine{Workers: 2, Digest: content.New(disks[0].Size()), Progress: func(off int64) { reached = append(reached, off) }}
	total := disks[0].Size()
	for _, d := range disks[1:] {
		e.More = append(e.More, d)
		e.MoreDigests = append(e.MoreDigests, content.New(d.Size()))
		total += d.Size()
	}
	// Codec and check make engines of their own, which the digests must survive.
	file, sum := formattest.Record(t, e, disks[0], nil)
	p := opened(t, bytes.NewReader(file.Bytes), sum.FileSize)
	if len(p.Disks) != len(disks) || p.Name != "four.disks" {
		t.Fatalf("%d disks of %q", len(p.Disks), p.Name)
	}
	for i, d := range disks {
		if want := fmt.Sprintf("four.disks-disk%d.vmdk", i+1); p.Disks[i].Name != want || p.Disks[i].Format != formatURI {
			t.Errorf("disk %d is %q of format %q", i, p.Disks[i].Name, p.Disks[i].Format)
		}
		imgtest.EqualDisk(t, p.Disks[i].Disk, d)
		got := append([]*content.Hasher{e.Engine.Digest}, e.MoreDigests...)[i]
		if a, b := text(t, got), digestOf(t, d); a != b {
			t.Errorf("disk %d has digest %s, want %s", i, a, b)
		}
	}
	for i := range reached {
		if i > 0 && reached[i] < reached[i-1] {
			t.Fatalf("progress goes back from %d to %d", reached[i-1], reached[i])
		}
	}
	if n := len(reached); n == 0 || reached[n-1] != total {
		t.Errorf("progress ends at %v of %d", reached[max(0, n-1):], total)
	}
}

func text(t *testing.T, h *content.Hasher) string {
	t.Helper()
	s, err := h.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digestOf(t *testing.T, d formats.Disk) string {
	t.Helper()
	e := transfer.Engine{Digest: content.New(d.Size())}
	if err := e.Run(t.Context(), d, 0, d.Size(), nil, nil); err != nil {
		t.Fatal(err)
	}
	return text(t, e.Digest)
}

// TestVersionIsRaisedWithTheBytes fails when the same input gives other bytes
// under the same version of the layout and of the disks' codec: raise version, and
// only then change the digest. It follows when the disks' codec changes.
func TestVersionIsRaisedWithTheBytes(t *testing.T) {
	const want = `ova v1 name="machine" cpus=2 memory=2048 os_type="other64" firmware="bios" hardware_version=13 controller="lsilogic" disks=2 (vmdk streamOptimized v2 level=1 adapter=lsilogic hardware_version=4 name="generated-stream.vmdk") a6d746b3799aadc5914ade62c55a7ae1b14bcd08daab6fa62c19c39dea97643c`
	e := Encoder{Disk: stream, More: []formats.Disk{imgtest.Random(61, 2<<20, 1<<20)}}
	file, _ := formattest.Record(t, e, imgtest.Random(60, 5<<20, 3<<20), nil)
	if got := fmt.Sprintf("%s %x", e.Codec(), sha256.Sum256(file.Bytes)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// sized is an encoder that writes a member of a chosen size, of zeros.
type sized struct {
	formats.Encoder
	size int64
}

func (s sized) Head(int64) int64 { return 0 }
func (s sized) Codec() string    { return "sized" }
func (s sized) Encode(_ context.Context, dst formats.Sink, src formats.Disk, _ formats.Checkpoint) (formats.Summary, error) {
	p := make([]byte, 1<<20)
	for off := int64(0); off < s.size; off += int64(len(p)) {
		if _, err := dst.WriteAt(p[:min(int64(len(p)), s.size-off)], off); err != nil {
			return formats.Summary{}, err
		}
	}
	return formats.Summary{Format: formats.Raw, FileSize: s.size, VirtualSize: src.Size()}, nil
}

// TestPadding has members that do not end at a block.
func TestPadding(t *testing.T) {
	for _, n := range []int64{1, 511, 512, 513, 1<<20 + 7} {
		e := Encoder{Disk: func(transfer.Engine) formats.Encoder { return sized{size: n} }, More: []formats.Disk{imgtest.New(n, 2)}}
		file, sum := formattest.Record(t, e, imgtest.New(n, 1), nil)
		p, err := Open(bytes.NewReader(file.Bytes), sum.FileSize, formats.DefaultLimits(), openRaw)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if k, err := p.Verify(t.Context()); err != nil || k != 3 || p.Disks[1].Size != n {
			t.Errorf("%d bytes: %d digests, %+v, %v", n, k, p.Disks, err)
		}
	}
}

// openRaw takes the member's bytes for the disk's.
func openRaw(_ string, r io.ReaderAt, size int64) (formats.Disk, error) {
	return flat{imgtest.New(size, 1)}, nil
}

type flat struct{ *imgtest.Disk }

// TestSizeField writes eleven digits of octal, and base-256 from 8 GiB on.
func TestSizeField(t *testing.T) {
	for n, want := range map[int64]string{
		0:         "00000000000\x00",
		511:       "00000000777\x00",
		1<<33 - 1: "77777777777\x00",
		1 << 33:   "\x80\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00",
	} {
		if got := sizeField(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	disk := imgtest.New(1<<20, 1)
	for field, all := range map[string][]Options{
		"name":             {{Name: "-x"}, {Name: "a/b"}, {Name: ".."}, {Name: "ä"}, {Name: "a b"}, {Name: "a)= "}, {Name: "a\n"}, {Name: strings.Repeat("x", 81)}},
		"cpus":             {{CPUs: -1}, {CPUs: MaxCPUs + 1}},
		"memory":           {{MemoryMiB: -4}, {MemoryMiB: 3}, {MemoryMiB: 2049}, {MemoryMiB: MaxMemoryMiB + 4}},
		"os_type":          {{OSType: "plan9"}, {OSType: `"`}},
		"firmware":         {{Firmware: "coreboot"}},
		"controller":       {{Controller: "ide"}},
		"hardware_version": {{HardwareVersion: 6}, {HardwareVersion: 23}, {HardwareVersion: 7, Firmware: FirmwareEFI}, {HardwareVersion: 9, Controller: ControllerAHCI}},
	} {
		for _, o := range all {
			e := Encoder{Options: o, Disk: stream}
			_, err := e.Encode(t.Context(), formattest.NewRecorder(t, e, disk), disk, formats.Checkpoint{})
			c, ok := errcode.As(err)
			if !ok || c.Code != errcode.TargetOption || c.Evidence.Structure != "option" || c.Evidence.Field != field || c.Evidence.Limit == "" {
				t.Errorf("%+v: %v with %+v", o, err, c)
			}
		}
	}
	e := Encoder{Disk: stream, More: make([]formats.Disk, MaxDisks)}
	if _, err := e.Encode(t.Context(), nil, disk, formats.Checkpoint{}); errcode.Of(err) != errcode.TargetOption {
		t.Errorf("%d disks: %v", 1+MaxDisks, err)
	}
	if a, b := (Options{}).codec(), (Options{Name: DefaultName, CPUs: DefaultCPUs, MemoryMiB: DefaultMemoryMiB, OSType: OSTypes()[0], Firmware: FirmwareBIOS,
		HardwareVersion: DefaultHardwareVersion, Controller: ControllerLSILogic}).codec(); a != b {
		t.Errorf("the defaults are codec %q and %q", a, b)
	}
}

// late has a head, or lies about how much it writes, or goes on where it should
// not: an encoder that must not be put into an OVA.
type late struct {
	formats.Encoder
	head  int64
	extra int64
}

func (l late) Head(size int64) int64 { return l.head }
func (l late) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	s, err := l.Encoder.Encode(ctx, dst, src, from)
	s.FileSize += l.extra
	return s, err
}

func TestDiskEncoderThatDoesNotFit(t *testing.T) {
	disk := imgtest.Random(3, 4<<20, 1<<20)
	for name, e := range map[string]Encoder{
		"none":             {},
		"a head":           {Disk: func(e transfer.Engine) formats.Encoder { return late{Encoder: stream(e), head: 512} }},
		"another length":   {Disk: func(e transfer.Engine) formats.Encoder { return late{Encoder: stream(e), extra: 1} }},
		"too few digests":  {Disk: stream, More: []formats.Disk{disk}, MoreDigests: []*content.Hasher{}},
		"a checkpoint off": {Disk: func(e transfer.Engine) formats.Encoder { return behind{stream(e)} }},
	} {
		t.Run(name, func(t *testing.T) {
			r := formattest.NewRecorder(t, e, disk)
			if _, err := e.Encode(t.Context(), quiet{r}, disk, formats.Checkpoint{}); err == nil || errcode.Of(err) != errcode.Internal {
				t.Errorf("encode: %v, want an error of the program", err)
			}
		})
	}
}

// quiet takes checkpoints without looking at them.
type quiet struct{ *formattest.Recorder }

func (q quiet) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	state()
	return nil
}

// behind offers checkpoints that lie before what is written.
type behind struct{ formats.Encoder }

func (b behind) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	return b.Encoder.Encode(ctx, early{dst}, src, from)
}

type early struct{ formats.Sink }

func (e early) Checkpoint(ctx context.Context, state func() formats.Checkpoint) error {
	return e.Sink.Checkpoint(ctx, func() formats.Checkpoint {
		cp := state()
		cp.HostOff -= 512
		return cp
	})
}

// turning is another disk at its second reading.
type turning struct {
	formats.Disk
	first *bool
}

func (d turning) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	if !*d.first {
		p[0] ^= 0xff
	}
	if off+int64(n) == d.Size() {
		*d.first = false
	}
	return n, err
}

func TestDiskThatChangesIsRefused(t *testing.T) {
	first := true
	src := imgtest.New(1<<20, 1)
	e := Encoder{Disk: stream, Engine: transfer.Engine{Workers: 1}, More: []formats.Disk{
		turning{imgtest.New(4<<20, 2, imgtest.Run{Off: 0, Len: 4 << 20, Kind: imgtest.Noise}), &first}}}
	_, err := e.Encode(t.Context(), formattest.NewRecorder(t, e, src), src, formats.Checkpoint{})
	if errcode.Of(err) != errcode.SourceChanged {
		t.Errorf("encode: %v, want %s", err, errcode.SourceChanged)
	}
}

func TestIllCheckpointStartsAgain(t *testing.T) {
	disk := imgtest.Random(57, 80<<20, 20<<20)
	e := Encoder{Disk: stream}
	full, _ := formattest.Record(t, e, disk, func() bool { return true })
	good := full.Taken[len(full.Taken)/2]
	change := func(fn func(*formats.Checkpoint)) formats.Checkpoint {
		cp := good
		cp.State = bytes.Clone(cp.State)
		fn(&cp)
		return cp
	}
	for name, cp := range map[string]formats.Checkpoint{
		"a flipped bit":        change(func(c *formats.Checkpoint) { c.State[len(c.State)/2] ^= 4 }),
		"another host offset":  change(func(c *formats.Checkpoint) { c.HostOff += 512 }),
		"host offset in head":  change(func(c *formats.Checkpoint) { c.HostOff = 512 }),
		"another guest offset": change(func(c *formats.Checkpoint) { c.Off += transfer.UnitBytes }),
		"another name":         change(func(c *formats.Checkpoint) { c.Codec = Encoder{Disk: stream, Options: Options{Name: "b"}}.Codec() }),
	} {
		t.Run(name, func(t *testing.T) {
			r := formattest.NewRecorder(t, e, disk)
			if _, err := e.Encode(t.Context(), r, disk, cp); err != nil || !bytes.Equal(r.Bytes, full.Bytes) {
				t.Errorf("not a start from the beginning: %v", err)
			}
		})
	}
}

func TestEndsWithItsSink(t *testing.T) {
	disk := imgtest.Random(1, 20<<20, 8<<20)
	e := Encoder{Disk: stream}
	r := formattest.NewRecorder(t, e, disk)
	r.Stop = errors.New("enough")
	if _, err := e.Encode(t.Context(), r, disk, formats.Checkpoint{}); !errors.Is(err, r.Stop) {
		t.Errorf("encode: %v, want the sink's error", err)
	}
}
