package gce

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// format lets the suite open what is written.
type format struct{}

func (format) Name() formats.Name                       { return formats.Raw }
func (format) Match(_, _ []byte, _ int64) formats.Match { return formats.Match{} }
func (format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	return Open(r, size, lim)
}

// spec is the suite's view of an encoder.
func spec(e Encoder) formattest.WriterSpec {
	align := e.defaults().Align
	return formattest.WriterSpec{
		Format:      format{},
		VirtualSize: func(size int64) int64 { return (size + align - 1) / align * align },
		Encoder: func(workers int) formats.Encoder {
			e := e
			e.Engine = transfer.Engine{Workers: workers}
			return e
		},
	}
}

func TestWriter(t *testing.T) { formattest.Writer(t, spec(Encoder{Align: 1 << 20})) }

// TestWholeGiB is Google's rule: 10 GB or 11 GB but not 10.5 GB ("Manually import
// boot disks").
func TestWholeGiB(t *testing.T) {
	for _, c := range []struct{ size, want int64 }{
		{512, 1 << 30}, {1 << 30, 1 << 30}, {1<<30 + 1, 2 << 30}, {10<<30 + 1<<29, 11 << 30},
	} {
		disk := imgtest.New(c.size, 3, imgtest.Run{Off: c.size - 512, Len: 512, Kind: imgtest.Noise})
		file, sum := formattest.Record(t, Encoder{}, disk, nil)
		if sum.VirtualSize != c.want {
			t.Errorf("a disk of %d bytes becomes one of %d, want %d", c.size, sum.VirtualSize, c.want)
		}
		d := open(t, file.Bytes)
		if d.Size() != c.want {
			t.Errorf("a disk of %d bytes is read back as one of %d, want %d", c.size, d.Size(), c.want)
		}
		imgtest.Equal(t, d, disk, c.size)
	}
}

// open opens what was written.
func open(t testing.TB, file []byte) formats.Disk {
	t.Helper()
	d, err := Open(bytes.NewReader(file), int64(len(file)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestEveryLevel(t *testing.T) {
	disk := imgtest.Random(55, 20<<20+3*512, 6<<20)
	before := 0
	for level := MinLevel; level <= MaxLevel; level++ {
		file, _ := formattest.Record(t, Encoder{Level: level, Align: 512}, disk, nil)
		imgtest.EqualDisk(t, open(t, file.Bytes), disk)
		if level == MaxLevel && len(file.Bytes) >= before {
			t.Errorf("level %d makes %d bytes, level %d made %d", level, len(file.Bytes), MinLevel, before)
		}
		if level == MinLevel {
			before = len(file.Bytes)
		}
	}
}

// blind hides a disk's holes.
type blind struct{ *imgtest.Disk }

func (b blind) ExtentAt(int64) (formats.Extent, error) {
	return formats.Extent{Len: b.Size(), State: formats.Data, HostOff: 0}, nil
}

// TestSourceThatDoesNotKnowItsHoles makes one run of all, with the zeros in it.
func TestSourceThatDoesNotKnowItsHoles(t *testing.T) {
	disk := imgtest.Random(7, 40<<20+512, 4<<20)
	file, _ := formattest.Record(t, Encoder{Align: 512}, blind{disk}, nil)
	d := open(t, file.Bytes)
	imgtest.EqualDisk(t, d, disk)
	e, err := d.ExtentAt(20 << 20)
	if err != nil || e.Off != 0 || e.Len != disk.Size() || e.State != formats.Data {
		t.Errorf("extent %+v, %v; want one run of all", e, err)
	}
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Error(err)
	}
	spec(Encoder{Align: 512}).Resumes(t, imgtest.New(16<<20, 5, imgtest.Run{Off: 0, Len: 1, Kind: imgtest.Noise}, imgtest.Run{Off: 5 << 20, Len: 9 << 20, Kind: imgtest.Text}))
}

// TestVersionIsRaisedWithTheBytes fails when the same input gives other bytes
// under the same version: raise version, and only then change the digest.
func TestVersionIsRaisedWithTheBytes(t *testing.T) {
	const want = "gce tar.gz v2 level=5 align=1073741824 918992b9fedbf1812dc8b65683bf3b5e67b31109c06f95965416001f2446434b"
	e := Encoder{}
	file, _ := formattest.Record(t, e, imgtest.Random(60, 9<<20, 3<<20), nil)
	if got := fmt.Sprintf("%s %x", e.Codec(), sha256.Sum256(file.Bytes)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestGzipHeader names neither a time nor a file, so that equal disks make equal
// files (RFC 1952, section 2.3.1).
func TestGzipHeader(t *testing.T) {
	file, _ := formattest.Record(t, Encoder{}, imgtest.Random(61, 1<<20, 1<<19), nil)
	z, err := gzip.NewReader(bytes.NewReader(file.Bytes))
	if err != nil || z.Name != "" || z.Comment != "" || z.Extra != nil || !z.ModTime.IsZero() {
		t.Errorf("gzip header %+v, %v", z.Header, err)
	}
}

func TestOptions(t *testing.T) {
	disk := imgtest.New(1<<20, 1)
	for name, c := range map[string]struct {
		e     Encoder
		field string
	}{
		"level too low":   {Encoder{Level: -1}, "compression_level"},
		"level too high":  {Encoder{Level: 10}, "compression_level"},
		"align odd":       {Encoder{Align: 513}, "align"},
		"align negative":  {Encoder{Align: -512}, "align"},
		"align too large": {Encoder{Align: MaxAlign + 512}, "align"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.e.Encode(t.Context(), formattest.NewRecorder(t, c.e, disk), disk, formats.Checkpoint{})
			e, ok := errcode.As(err)
			if !ok || e.Code != errcode.TargetOption || e.Evidence.Structure != "option" || e.Evidence.Field != c.field || e.Evidence.Limit == "" {
				t.Errorf("%v with %+v", err, e)
			}
		})
	}
	for size, want := range map[int64]errcode.Code{0: errcode.VirtualSizeZero, maxBytes: "", maxBytes + 1: errcode.VirtualSizeTooLarge} {
		if _, err := (Encoder{}).defaults().virtualSize(size); errcode.Of(err) != want {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
	}
	if a, b := (Encoder{}).Codec(), (Encoder{Level: DefaultLevel, Align: DefaultAlign}).Codec(); a != b {
		t.Errorf("the defaults are codec %q and %q", a, b)
	}
}

// TestIllCheckpointStartsAgain starts from checkpoints that are damaged, and from
// one of a disk whose extents differ.
func TestIllCheckpointStartsAgain(t *testing.T) {
	disk := imgtest.Random(57, 80<<20, 20<<20)
	e := Encoder{Level: 1}
	full, _ := formattest.Record(t, e, disk, func() bool { return true })
	seen, _ := formattest.Record(t, e, blind{disk}, func() bool { return true })
	good := full.Taken[len(full.Taken)/2]
	change := func(fn func(*formats.Checkpoint)) formats.Checkpoint {
		cp := good
		cp.State = bytes.Clone(cp.State)
		fn(&cp)
		return cp
	}
	for name, cp := range map[string]formats.Checkpoint{
		"a flipped bit":        change(func(c *formats.Checkpoint) { c.State[len(c.State)/2] ^= 4 }),
		"another host offset":  change(func(c *formats.Checkpoint) { c.HostOff++ }),
		"another guest offset": change(func(c *formats.Checkpoint) { c.Off += transfer.UnitBytes }),
		"another level":        change(func(c *formats.Checkpoint) { c.Codec = Encoder{}.Codec() }),
		"another map":          seen.Taken[len(seen.Taken)/2],
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
	r := formattest.NewRecorder(t, Encoder{}, disk)
	r.Stop = errors.New("enough")
	if _, err := (Encoder{}).Encode(t.Context(), r, disk, formats.Checkpoint{}); !errors.Is(err, r.Stop) {
		t.Errorf("encode: %v, want the sink's error", err)
	}
}

// turning is a disk whose holes are filled once its extents were walked.
type turning struct {
	*imgtest.Disk
	walked bool
}

func (d *turning) ExtentAt(off int64) (formats.Extent, error) {
	e, err := d.Disk.ExtentAt(off)
	if d.walked {
		e = formats.Extent{Len: d.Size(), State: formats.Data, HostOff: -1}
	}
	d.walked = d.walked || e.End() == d.Size()
	return e, err
}

func (d *turning) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	p[0] |= 1
	return n, err
}

// TestSourceThatChangesIsRefused writes nothing of what the map does not have.
func TestSourceThatChangesIsRefused(t *testing.T) {
	disk := &turning{Disk: imgtest.New(8<<20, 1, imgtest.Run{Off: 0, Len: 4096, Kind: imgtest.Text})}
	r := formattest.NewRecorder(t, Encoder{}, disk)
	e := Encoder{Engine: transfer.Engine{Workers: 1}}
	if _, err := e.Encode(t.Context(), r, disk, formats.Checkpoint{}); errcode.Of(err) != errcode.SourceChanged {
		t.Errorf("encode: %v, want %s", err, errcode.SourceChanged)
	}
}
