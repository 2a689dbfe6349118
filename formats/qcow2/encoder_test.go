package qcow2

import (
	"bytes"
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

// An output is what an encoder wrote, and the checkpoints that were taken.
type output struct {
	buf    []byte
	taken  []formats.Checkpoint
	record *formattest.Recorder
}

// encode runs the encoder from the start. keep, if not nil, is asked at every
// checkpoint whether to take it.
func encode(t testing.TB, e Encoder, src formats.Disk, keep func() bool) output {
	t.Helper()
	r, sum := formattest.Record(t, e, src, keep)
	if sum.Format != formats.QCOW2 || sum.VirtualSize != (src.Size()+511)/512*512 {
		t.Fatalf("summary %+v of %d bytes", sum, src.Size())
	}
	return output{r.Bytes, r.Taken, r}
}

// writer is the suite's view of the encoder and the planner.
func writer(bits int, compression string) formattest.WriterSpec {
	w := formattest.WriterSpec{Format: Format{}, Qemu: "qcow2", QemuCheck: true,
		Encoder: func(workers int) formats.Encoder {
			return Encoder{ClusterBits: bits, Compression: compression, Engine: transfer.Engine{Workers: workers}}
		}}
	if compression == CompressionNone {
		w.Planner = Planner{ClusterBits: bits}
	}
	return w
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

// checkSound holds an image against the disk: qemu-img finds no fault, and our
// own reader sees the same.
func checkSound(t *testing.T, image []byte, disk *imgtest.Disk) {
	t.Helper()
	imgtest.QemuImg(t, "check", "-q", "-f", "qcow2", writeFile(t, image))
	d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
	imgtest.EqualDisk(t, d, disk)
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Errorf("validate: %v", err)
	}
}

var compressions = []string{CompressionNone, CompressionZlib, CompressionZstd}

func TestWriters(t *testing.T) {
	for _, comp := range compressions {
		t.Run(comp, func(t *testing.T) { formattest.Writer(t, writer(0, comp)) })
	}
}

func TestWritersWithEveryClusterSize(t *testing.T) {
	disk := imgtest.Random(55, 9<<20+3*512, 5<<20)
	for bits := minClusterBits; bits <= maxClusterBits; bits++ {
		for _, comp := range compressions {
			t.Run(fmt.Sprintf("%d bits/%s", bits, comp), func(t *testing.T) { writer(bits, comp).Disk(t, disk) })
		}
	}
}

func TestResumedOutputIsTheSame(t *testing.T) {
	for _, bits := range []int{9, 12, 21} {
		for _, comp := range compressions {
			t.Run(fmt.Sprintf("%d bits/%s", bits, comp), func(t *testing.T) {
				disk := imgtest.Random(uint64(bits), 1<<30, 8<<20)
				if bits == 21 {
					// Several ranges of L2 tables, in the middle of which resumes fall.
					disk = imgtest.Random(uint64(bits), 6<<30+512, 12<<20)
				}
				writer(bits, comp).Resumes(t, disk)
			})
		}
	}
}

// resume goes on from a checkpoint over what was written before it.
func resume(t *testing.T, e Encoder, disk formats.Disk, full output, cp formats.Checkpoint) {
	t.Helper()
	s := full.record.Resumed(cp)
	if _, err := e.Encode(t.Context(), s, disk, cp); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Bytes, full.buf) {
		t.Errorf("resumed at guest offset %d, the output differs", cp.Off)
	}
}

// TestIllCheckpointStartsAgain starts from checkpoints whose state is damaged.
func TestIllCheckpointStartsAgain(t *testing.T) {
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
		"a flipped bit":        change(func(c *formats.Checkpoint) { c.State[len(c.State)/2] ^= 4 }),
		"offset unaligned":     change(func(c *formats.Checkpoint) { c.Off++ }),
		"host offset wrong":    change(func(c *formats.Checkpoint) { c.HostOff += 1 << 16 }),
		"another guest offset": change(func(c *formats.Checkpoint) { c.Off += transfer.UnitBytes }),
	} {
		t.Run(name, func(t *testing.T) {
			s := formattest.NewRecorder(t, e, disk)
			if _, err := e.Encode(t.Context(), s, disk, cp); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Bytes, full.buf) {
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
		"qcow2 v3 cluster_bits=16 compression=none": "7bb560ea522222cb5c3c6925f8df8f0bd5f724e503b7501d4def01ea5e1e153a",
		"qcow2 v3 cluster_bits=16 compression=zlib": "ca5c3cc7eb7948b2af5b234e64d985b75b4643eb728dc07c6fa64ebf25719c53",
		"qcow2 v3 cluster_bits=16 compression=zstd": "ccedd83357d624d08e1521e38db05eb3c5386c576883eb96e0c3016c178cb5d0",
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
	b := newBuilder(formattest.NewRecorder(t, Encoder{ClusterBits: 21}, imgtest.New(1<<40, 1)), tgt)
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
			s := formattest.NewRecorder(t, c.e, c.src)
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
	disk := imgtest.Random(1, 20<<20, 8<<20)
	s := formattest.NewRecorder(t, Encoder{}, disk)
	s.Stop = errors.New("enough")
	if _, err := (Encoder{}).Encode(t.Context(), s, disk, formats.Checkpoint{}); !errors.Is(err, s.Stop) {
		t.Errorf("encode: %v, want the sink's error", err)
	}
	if s.Done() {
		t.Error("the head was written")
	}
}
