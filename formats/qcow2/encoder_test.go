package qcow2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// A sink keeps the output in memory and fails the test unless writes ascend
// without gaps, the head comes last, and checkpoints are where they say.
type sink struct {
	t    testing.TB
	buf  []byte
	head int64
	pos  int64
	done bool // the head has been written
	// keep, if set, is asked at every checkpoint whether to take it.
	keep  func() bool
	taken []formats.Checkpoint
	// stop, if set, ends the encoding at a checkpoint.
	stop error
}

func newSink(t testing.TB, e Encoder) *sink {
	return &sink{t: t, head: e.Head(0), pos: e.Head(0), buf: make([]byte, e.Head(0))}
}

func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	s.t.Helper()
	if s.done {
		s.t.Fatalf("write of %d bytes at %d after the head", len(p), off)
	}
	if off == 0 && int64(len(p)) == s.head {
		s.done = true
		copy(s.buf, p)
		return len(p), nil
	}
	if off != s.pos {
		s.t.Fatalf("write of %d bytes at %d, the output ends at %d", len(p), off, s.pos)
	}
	s.buf = append(s.buf, p...)
	s.pos += int64(len(p))
	return len(p), nil
}

func (s *sink) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	if s.keep != nil && s.keep() {
		cp := state()
		if cp.HostOff != s.pos {
			s.t.Fatalf("checkpoint at output offset %d, written are %d", cp.HostOff, s.pos)
		}
		s.taken = append(s.taken, cp)
	}
	return s.stop
}

// encode runs the encoder from the start.
func encode(t testing.TB, e Encoder, src formats.Disk, keep func() bool) *sink {
	t.Helper()
	s := newSink(t, e)
	s.keep = keep
	sum, err := e.Encode(t.Context(), s, src, formats.Checkpoint{})
	if err != nil {
		t.Fatal(err)
	}
	if sum.FileSize != int64(len(s.buf)) || !s.done || sum.Format != formats.QCOW2 ||
		sum.VirtualSize != (src.Size()+511)/512*512 {
		t.Fatalf("summary %+v of %d bytes, head written: %v", sum, len(s.buf), s.done)
	}
	return s
}

// writeFile keeps the output for qemu-img.
func writeFile(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.qcow2")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkWritten holds an image against the disk, which raw is a file of: qemu-img finds no fault and no
// difference, and our own reader sees the same.
func checkWritten(t *testing.T, image []byte, disk *imgtest.Disk, raw string) {
	t.Helper()
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "qcow2", raw, checkSound(t, image, disk))
}

// checkSound is checkWritten without the comparison by qemu-img. It returns the
// path of the image.
func checkSound(t *testing.T, image []byte, disk *imgtest.Disk) string {
	t.Helper()
	path := writeFile(t, image)
	imgtest.QemuImg(t, "check", "-q", "-f", "qcow2", path)
	d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
	imgtest.EqualDisk(t, d, disk)
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Errorf("validate: %v", err)
	}
	return path
}

var compressions = []string{CompressionNone, CompressionZlib, CompressionZstd}

func TestEncoderWritesEveryCase(t *testing.T) {
	for _, c := range imgtest.Cases() {
		raw := imgtest.WriteRaw(t, c.Disk)
		for _, comp := range compressions {
			t.Run(c.Name+"/"+comp, func(t *testing.T) {
				e := Encoder{Compression: comp}
				checkWritten(t, encode(t, e, c.Disk, nil).buf, c.Disk, raw)
			})
		}
	}
}

func TestEncoderWritesEveryClusterSize(t *testing.T) {
	disk := imgtest.Random(55, 9<<20+3*512, 5<<20)
	raw := imgtest.WriteRaw(t, disk)
	for bits := minClusterBits; bits <= maxClusterBits; bits++ {
		for _, comp := range compressions {
			t.Run(fmt.Sprintf("%d bits/%s", bits, comp), func(t *testing.T) {
				checkWritten(t, encode(t, Encoder{ClusterBits: bits, Compression: comp}, disk, nil).buf, disk, raw)
			})
		}
	}
}

// TestEncoderRoundsUpToSectors encodes a disk that ends within a sector.
func TestEncoderRoundsUpToSectors(t *testing.T) {
	disk := imgtest.New(3<<20+77, 8, imgtest.Run{Off: 2 << 20, Len: 1<<20 + 77, Kind: imgtest.Text})
	for _, comp := range compressions {
		image := encode(t, Encoder{Compression: comp}, disk, nil).buf
		imgtest.QemuImg(t, "check", "-q", "-f", "qcow2", writeFile(t, image))
		d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
		if d.Size() != 3<<20+512 {
			t.Errorf("%s: virtual size %d", comp, d.Size())
		}
		imgtest.Equal(t, d, disk, disk.Size())
		tail := make([]byte, 512-77)
		if n, err := d.ReadAt(tail, disk.Size()); n != len(tail) || err != nil || !bytes.Equal(tail, make([]byte, len(tail))) {
			t.Errorf("%s: behind the source's end: %d, %v, %x", comp, n, err, tail)
		}
	}
}

func TestOutputDoesNotDependOnWorkers(t *testing.T) {
	disk := imgtest.Random(56, 40<<20, 24<<20)
	for _, comp := range compressions {
		want := encode(t, Encoder{Compression: comp, Engine: transfer.Engine{Workers: 1}}, disk, nil).buf
		for _, workers := range []int{2, 7} {
			got := encode(t, Encoder{Compression: comp, Engine: transfer.Engine{Workers: workers}}, disk, nil).buf
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %d workers write other bytes than one", comp, workers)
			}
		}
	}
}

func TestResumedOutputIsTheSame(t *testing.T) {
	for _, bits := range []int{9, 12, 16, 21} {
		for _, comp := range compressions {
			t.Run(fmt.Sprintf("%d bits/%s", bits, comp), func(t *testing.T) {
				disk := imgtest.Random(uint64(bits), 1<<30, 8<<20)
				if bits >= 16 {
					// Several ranges of L2 tables, in the middle of which resumes fall.
					disk = imgtest.Random(uint64(bits), 6<<30+512, 12<<20)
				}
				e := Encoder{ClusterBits: bits, Compression: comp}
				rng := rand.New(rand.NewPCG(1, uint64(bits)))
				full := encode(t, e, disk, func() bool { return rng.IntN(3) == 0 })
				checkWritten(t, full.buf, disk, imgtest.WriteRaw(t, disk))
				if len(full.taken) < 3 {
					t.Fatalf("%d checkpoints", len(full.taken))
				}
				for range 3 {
					resume(t, e, disk, full, full.taken[rng.IntN(len(full.taken))])
				}
			})
		}
	}
}

// resume goes on from a checkpoint over what was written before it.
func resume(t *testing.T, e Encoder, disk formats.Disk, full *sink, cp formats.Checkpoint) {
	t.Helper()
	s := newSink(t, e)
	s.buf = append(make([]byte, 0, len(full.buf)), full.buf[:cp.HostOff]...)
	clear(s.buf[:s.head])
	s.pos = cp.HostOff
	if _, err := e.Encode(t.Context(), s, disk, cp); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.buf, full.buf) {
		t.Errorf("resumed at guest offset %d, the output differs", cp.Off)
	}
}

func TestForeignCheckpointStartsAgain(t *testing.T) {
	disk := imgtest.Random(57, 30<<20, 12<<20)
	e := Encoder{Compression: CompressionZstd}
	full := encode(t, e, disk, func() bool { return true })
	good := full.taken[len(full.taken)/2]
	change := func(fn func(*formats.Checkpoint)) formats.Checkpoint {
		cp := good
		cp.State = bytes.Clone(cp.State)
		fn(&cp)
		return cp
	}
	for name, cp := range map[string]formats.Checkpoint{
		"another codec":        change(func(c *formats.Checkpoint) { c.Codec = Encoder{}.Codec() }),
		"no state":             change(func(c *formats.Checkpoint) { c.State = nil }),
		"a flipped bit":        change(func(c *formats.Checkpoint) { c.State[len(c.State)/2] ^= 4 }),
		"cut":                  change(func(c *formats.Checkpoint) { c.State = c.State[:len(c.State)-1] }),
		"offset too large":     change(func(c *formats.Checkpoint) { c.Off = disk.Size() + transfer.UnitBytes }),
		"offset unaligned":     change(func(c *formats.Checkpoint) { c.Off++ }),
		"host offset wrong":    change(func(c *formats.Checkpoint) { c.HostOff += 1 << 16 }),
		"another guest offset": change(func(c *formats.Checkpoint) { c.Off += transfer.UnitBytes }),
		"another disk's":       encode(t, e, imgtest.Random(58, 31<<20, 12<<20), func() bool { return true }).taken[1],
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, e)
			if _, err := e.Encode(t.Context(), s, disk, cp); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.buf, full.buf) {
				t.Error("the output differs")
			}
		})
	}
}

// TestCodecVersionIsRaisedWithTheBytes fails when the same input gives other
// bytes under the same codec version: raise codecVersion, and only then change
// the digests.
func TestCodecVersionIsRaisedWithTheBytes(t *testing.T) {
	disk := imgtest.Random(60, 5<<20, 3<<20)
	want := map[string]string{
		"qcow2 v1 cluster_bits=16 compression=none": "7bb560ea522222cb5c3c6925f8df8f0bd5f724e503b7501d4def01ea5e1e153a",
		"qcow2 v1 cluster_bits=16 compression=zlib": "13bf80dfe02467bd51747d904ef89247d4867508ed200e71145387216bdd7a85",
		"qcow2 v1 cluster_bits=16 compression=zstd": "db4ff7412b01e2dfdaa194dbbb3195d6cd529fffd14d9210b32abeb34c715105",
	}
	for _, comp := range compressions {
		e := Encoder{Compression: comp}
		got := fmt.Sprintf("%x", sha256.Sum256(encode(t, e, disk, nil).buf))
		if got != want[e.Codec()] {
			t.Errorf("%s: digest %s, want %s", e.Codec(), got, want[e.Codec()])
		}
	}
}

// bytesDisk is a disk of given bytes, all data.
type bytesDisk struct{ *bytes.Reader }

func (d bytesDisk) Close() error       { return nil }
func (d bytesDisk) Info() formats.Info { return formats.Info{Format: formats.Raw} }
func (d bytesDisk) ExtentAt(int64) (formats.Extent, error) {
	return formats.Extent{Len: d.Size(), HostOff: -1}, nil
}

// TestQemuReadsLongMatches compresses noise that repeats at distances around
// the window of QEMU's decoder, and bytes that compress beyond all measure.
func TestQemuReadsLongMatches(t *testing.T) {
	var data []byte
	rng := rand.New(rand.NewPCG(6, 6))
	for _, period := range []int{1, 2, 258, 4095, 4096, 4097, 5000, 32768, 32769} {
		block := make([]byte, period)
		for i := range block {
			block[i] = byte(1 + rng.IntN(255))
		}
		data = append(data, bytes.Repeat(block, 1<<20/period+1)[:1<<20]...)
	}
	raw := filepath.Join(t.TempDir(), "data.raw")
	if err := os.WriteFile(raw, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, comp := range compressions {
		for _, bits := range []int{12, 16, 21} {
			image := encode(t, Encoder{ClusterBits: bits, Compression: comp}, bytesDisk{bytes.NewReader(data)}, nil).buf
			path := writeFile(t, image)
			imgtest.QemuImg(t, "check", "-q", "-f", "qcow2", path)
			imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "qcow2", raw, path)
		}
	}
}

// TestOwnImagesDoNotLookLikeBombs encodes one byte over and over.
func TestOwnImagesDoNotLookLikeBombs(t *testing.T) {
	data := bytes.Repeat([]byte{0xFF}, 256<<20)
	for _, bits := range []int{16, 21} {
		image := encode(t, Encoder{ClusterBits: bits, Compression: CompressionZstd}, bytesDisk{bytes.NewReader(data)}, nil).buf
		d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
		if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
			t.Errorf("%d bits: validate: %v", bits, err)
		}
		imgtest.Equal(t, d, bytes.NewReader(data), int64(len(data)))
	}
}

// TestRefcountsDoNotOverflow packs more clusters than a refcount can count
// into one host cluster of 2 MiB.
func TestRefcountsDoNotOverflow(t *testing.T) {
	tgt, err := (Encoder{ClusterBits: 21, Compression: CompressionZstd}).target(1 << 40)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{t: t, head: tgt.cluster, pos: tgt.cluster, buf: make([]byte, tgt.cluster)}
	b := newBuilder(s, tgt)
	const clusters, each = 70_000, 9
	lengths := bytes.Repeat([]byte{0, 0, 0, each}, clusters)
	if used, err := b.pack(stretch{lengths: lengths}, make([]byte, clusters*each)); err != nil || used != clusters*each {
		t.Fatalf("pack: %d, %v", used, err)
	}
	if !b.refs.full(1) || b.refs.full(2) || b.pos != 2*tgt.cluster+(clusters-maxRefcount)*each {
		t.Errorf("the first host cluster is full: %v, the second: %v, output ends at %d", b.refs.full(1), b.refs.full(2), b.pos)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	small, huge := imgtest.New(1<<20, 1), imgtest.New(1<<40, 1)
	for name, c := range map[string]struct {
		e    Encoder
		src  formats.Disk
		want errcode.Code
	}{
		"compression":         {Encoder{Compression: "lz4"}, small, errcode.TargetOption},
		"cluster bits 8":      {Encoder{ClusterBits: 8}, small, errcode.TargetOption},
		"cluster bits 22":     {Encoder{ClusterBits: 22}, small, errcode.TargetOption},
		"L1 table too large":  {Encoder{ClusterBits: 9}, huge, errcode.TargetOption},
		"disk without a byte": {Encoder{}, imgtest.New(0, 1), errcode.VirtualSizeZero},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sink{t: t}
			if _, err := c.e.Encode(t.Context(), s, c.src, formats.Checkpoint{}); errcode.Of(err) != c.want {
				t.Errorf("encode: %v, want %s", err, c.want)
			}
			if c.e.Compression == "" {
				if _, err := (Planner{c.e.ClusterBits}).Plan(t.Context(), c.src); errcode.Of(err) != c.want {
					t.Errorf("plan: %v, want %s", err, c.want)
				}
			}
		})
	}
}

func TestEncoderEndsWithItsSink(t *testing.T) {
	s := newSink(t, Encoder{})
	s.stop = errors.New("enough")
	if _, err := (Encoder{}).Encode(t.Context(), s, imgtest.Random(1, 20<<20, 8<<20), formats.Checkpoint{}); !errors.Is(err, s.stop) {
		t.Errorf("encode: %v, want the sink's error", err)
	}
	if s.done {
		t.Error("the head was written")
	}
}
