package qcow2

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// snapshotImage returns an image with three internal snapshots, made by
// qemu-img.
func snapshotImage(t *testing.T) []byte {
	t.Helper()
	path := imgtest.Convert(t, imgtest.WriteRaw(t, imgtest.Random(5, 1<<20, 300<<10)), "raw", "qcow2")
	for _, name := range []string{"first", "a second with a longer name", "3"} {
		imgtest.QemuImg(t, "snapshot", "-c", name, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inSnapshot overwrites a field of the first entry of the snapshot table.
func inSnapshot(field int, width int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		p := binary.BigEndian.AppendUint64(nil, v)[8-width:]
		copy(b[int(binary.BigEndian.Uint64(b[64:]))+field:], p)
		return b
	}
}

// padded fills the file's last cluster up with zeros.
func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&(64<<10-1))...) }

func TestSnapshotTableIsChecked(t *testing.T) {
	formattest.Refused(t, Format{}, snapshotImage(t), []formattest.Bad{
		{Name: "L1 misaligned", Make: inSnapshot(0, 8, 0x10200), Want: errcode.TableBounds},
		{Name: "L1 beyond the file", Make: inSnapshot(0, 8, 1<<40), Want: errcode.Truncated},
		{Name: "L1 on the header", Make: inSnapshot(0, 8, 0), Want: errcode.TableBounds},
		{Name: "L1 at one above the bound", Make: inSnapshot(8, 4, maxL1Bytes/8+1), Want: errcode.TableBounds},
		{Name: "L1 at the bound", Make: inSnapshot(8, 4, maxL1Bytes/8), Want: errcode.Truncated},
		{Name: "extra data at one above the bound", Make: inSnapshot(36, 4, maxSnapshotExtra+1), Want: errcode.TableBounds},
		{Name: "more than there are", Make: put32(60, 60_000), Want: errcode.Truncated},
		{Name: "table at the end of the file", Make: func(b []byte) []byte {
			table := bytes.Clone(b[binary.BigEndian.Uint64(b[64:]):][:3*snapshotFixed])
			b = padded(b)
			put64(64, uint64(len(b)))(b)
			return append(b, table...)
		}, Want: errcode.Truncated},
	})
}

// TestSnapshotTableHasABound makes entries that are as long as they can be.
func TestSnapshotTableHasABound(t *testing.T) {
	image := padded(snapshotImage(t))
	const entry = snapshotFixed + maxSnapshotExtra + 2*0xFFFF/8*8 + 8
	h := make([]byte, snapshotFixed)
	binary.BigEndian.PutUint16(h[12:], 0xFFFF)
	binary.BigEndian.PutUint16(h[14:], 0xFFFF)
	binary.BigEndian.PutUint32(h[36:], maxSnapshotExtra)
	most := int(formats.DefaultLimits().SnapshotBytes)
	for n, want := range map[int]errcode.Code{most / entry: "", most/entry + 1: errcode.TableBounds} {
		r := &entries{image: put32(60, uint32(n))(bytes.Clone(image)), entry: entry, head: h}
		binary.BigEndian.PutUint64(r.image[64:], uint64(len(image)))
		d := formattest.OpenBytes(Format{}, r, int64(len(image)+n*entry))(t)
		if _, err := d.(formats.Validator).Validate(t.Context()); errcode.Of(err) != want {
			t.Errorf("%d entries of %d bytes: %v, want %q", n, entry, err, want)
		}
	}
}

// entries is an image with snapshot entries of one length behind it.
type entries struct {
	image, head []byte
	entry       int
}

func (e *entries) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(e.image)) {
		n = copy(p, e.image[off:])
	}
	for ; n < len(p); n++ {
		p[n] = 0
		if at := int(off+int64(n)-int64(len(e.image))) % e.entry; at < len(e.head) {
			p[n] = e.head[at]
		}
	}
	return n, nil
}

var _ io.ReaderAt = (*entries)(nil)

// TestSnapshotsAreTold opens an image with snapshots: they are told once, by
// the header's facts, and refuse nothing. A table that lies on something else
// is told by Validate.
func TestSnapshotsAreTold(t *testing.T) {
	image := snapshotImage(t)
	d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
	if f := d.Info().Findings; len(f) != 1 || f[0].Code != errcode.QCOW2Snapshots || f[0].Severity != formats.SeverityInfo {
		t.Errorf("findings are %+v, want that there are snapshots", f)
	}
	if f, err := d.(formats.Validator).Validate(t.Context()); len(f) != 0 || err != nil {
		t.Errorf("validate: %+v, %v", f, err)
	}
	// The table's first entry looks like one with an L1 table of no entries.
	l1 := binary.BigEndian.Uint64(image[40:])
	put64(64, l1)(image)
	put32(60, 1)(image)
	d = formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
	f, err := d.(formats.Validator).Validate(t.Context())
	if err != nil || len(f) != 1 || f[0].Code != errcode.AliasedBlocks || f[0].Severity != formats.SeverityWarning {
		t.Errorf("validate: %+v, %v; want a warning that the table lies on another", f, err)
	}
}

// TestCompressionIsTold opens images whose compressed clusters are few or none.
func TestCompressionIsTold(t *testing.T) {
	small := imgtest.New(1<<20, 3, imgtest.Run{Off: 600 << 10, Len: 9000, Kind: imgtest.Text})
	// With clusters of 512 bytes an L2 table has 32 KiB: noise in the first, text
	// in the last.
	far := imgtest.New(1<<20, 3, imgtest.Run{Off: 0, Len: 9000, Kind: imgtest.Noise}, imgtest.Run{Off: 1000 << 10, Len: 9000, Kind: imgtest.Text})
	for _, c := range []struct {
		name string
		e    Encoder
		disk *imgtest.Disk
		want string
	}{
		{"none", Encoder{}, small, ""},
		{"zlib", Encoder{Compression: CompressionZlib}, small, "deflate"},
		{"zlib in the last table", Encoder{ClusterBits: 9, Compression: CompressionZlib}, far, "deflate"},
		{"zlib without data", Encoder{Compression: CompressionZlib}, imgtest.New(1<<20, 1), ""},
		{"zstd", Encoder{Compression: CompressionZstd}, small, "zstd"},
		{"zstd without data", Encoder{Compression: CompressionZstd}, imgtest.New(1<<20, 1), "zstd"},
	} {
		image := encode(t, c.e, c.disk, nil).buf
		d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
		if got := d.Info().Compression; got != c.want {
			t.Errorf("%s: compression is %q, want %q", c.name, got, c.want)
		}
	}
}
