package gce

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// good is a small tar file: six runs, so that there is an extension block.
func good(t testing.TB) []byte {
	var runs []imgtest.Run
	for i := range int64(6) {
		runs = append(runs, imgtest.Run{Off: i << 20, Len: 5000, Kind: imgtest.Text})
	}
	file, _ := formattest.Record(t, Encoder{Align: 512}, imgtest.New(7<<20, 4, runs...), nil)
	return file.Bytes
}

// pack compresses with the standard library.
func pack(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inTar changes the tar file within, puts its checksum right, and packs it again.
func inTar(t testing.TB, change func(p []byte) []byte) func([]byte) []byte {
	return func(file []byte) []byte {
		p := change(unpack(t, file))
		if len(p) >= blockBytes {
			putSum(p)
		}
		return pack(t, p)
	}
}

// field overwrites a number of 12 bytes.
func field(t testing.TB, at int, n int64) func([]byte) []byte {
	return inTar(t, func(p []byte) []byte { putNumber(p[at:], n); return p })
}

func TestBad(t *testing.T) {
	tight := formats.DefaultLimits()
	tight.VirtualSize = 7<<20 - 1
	narrow := formats.DefaultLimits()
	narrow.TableBytes = 600
	stingy := formats.DefaultLimits()
	stingy.ExpansionRatio = 2
	formattest.Refused(t, format{}, good(t), []formattest.Bad{
		{Name: "empty", Make: func([]byte) []byte { return nil }, Want: errcode.Truncated},
		{Name: "not gzip", Make: formattest.Set(0, 'P', 'K'), Want: errcode.FormatMismatch},
		{Name: "cut within the data", Make: formattest.Cut(400), Want: errcode.Truncated},
		{Name: "cut within the trailer", Make: formattest.Cut(1), Want: errcode.Truncated},
		{Name: "wrong CRC", Make: formattest.Set(-8, 1, 2, 3, 4), Want: errcode.CompressionCorrupt},
		{Name: "wrong length", Make: formattest.Set(-4, 1, 2, 3, 4), Want: errcode.CompressionCorrupt},
		{Name: "reserved block type", Make: formattest.Set(10, 0xff), Want: errcode.CompressionCorrupt},
		{Name: "bytes behind", Make: func(b []byte) []byte { return append(b, 0) }, Want: errcode.TrailingData},
		{Name: "two gzip members", Make: func(b []byte) []byte { return append(b, b...) }, Want: errcode.TrailingData},
		{Name: "no member", Make: inTar(t, func(p []byte) []byte { return make([]byte, 1024) }), Want: errcode.FormatMismatch},
		{Name: "empty tar", Make: inTar(t, func(p []byte) []byte { return nil }), Want: errcode.FormatMismatch},
		{Name: "cut header", Make: inTar(t, func(p []byte) []byte { return p[:700] }), Want: errcode.Truncated},
		{Name: "wrong checksum", Make: func(b []byte) []byte {
			p := unpack(t, b)
			p[0]++
			return pack(t, p)
		}, Want: errcode.FormatMismatch},
		{Name: "another name", Make: inTar(t, func(p []byte) []byte { p[0] = 'D'; return p }), Want: errcode.FormatMismatch},
		{Name: "a path", Make: inTar(t, func(p []byte) []byte { copy(p, "../disk.raw"); return p }), Want: errcode.FormatMismatch},
		{Name: "a link", Make: inTar(t, func(p []byte) []byte { p[atType] = '2'; return p }), Want: errcode.FormatMismatch},
		{Name: "a second member", Make: inTar(t, func(p []byte) []byte { return append(p[:len(p)-recordBytes/2:len(p)], p...) }), Want: errcode.GCPLayout},
		{Name: "no end blocks", Make: inTar(t, func(p []byte) []byte { return p[:2*blockBytes+6*8192] }), Want: errcode.GCPLayout},
		{Name: "endless end", Make: inTar(t, func(p []byte) []byte { return append(p, make([]byte, 2<<20)...) }), Want: errcode.GCPLayout},
		{Name: "no size", Make: field(t, atRealSize, 0), Want: errcode.FormatMismatch},
		{Name: "too large", Make: func(b []byte) []byte { return b }, Limits: &tight, Want: errcode.VirtualSizeTooLarge},
		{Name: "vast", Make: field(t, atRealSize, 1<<62), Want: errcode.VirtualSizeTooLarge},
		{Name: "map too long", Make: func(b []byte) []byte { return b }, Limits: &narrow, Want: errcode.TableBounds},
		{Name: "expands too far", Make: func(b []byte) []byte { return b }, Limits: &stingy, Want: errcode.ExpansionRatio},
		{Name: "stored size too small", Make: field(t, atSize, 6*8192-512), Want: errcode.TableBounds},
		{Name: "stored size too large", Make: field(t, atSize, 6*8192+512), Want: errcode.TableBounds},
		{Name: "runs in disorder", Make: field(t, atSparse+entryBytes, 4096), Want: errcode.FormatMismatch},
		{Name: "run behind the end", Make: field(t, atSparse+3*entryBytes, 7<<20), Want: errcode.FormatMismatch},
		{Name: "run too long", Make: field(t, atSparse+3*entryBytes+numberBytes, 7<<20), Want: errcode.FormatMismatch},
		{Name: "offset not a number", Make: inTar(t, func(p []byte) []byte { p[atSparse] = 'x'; return p }), Want: errcode.FormatMismatch},
		{Name: "endless map", Make: inTar(t, func(p []byte) []byte {
			block := make([]byte, blockBytes)
			block[atMoreExt] = 1
			return append(p[:blockBytes:blockBytes], bytes.Repeat(block, 3000)...)
		}), Want: errcode.TableBounds},
	})
}

// TestPlainMember reads a disk.raw that is not sparse, which Google takes too.
func TestPlainMember(t *testing.T) {
	disk := imgtest.New(5000, 4, imgtest.Run{Off: 100, Len: 4000, Kind: imgtest.Noise})
	p := make([]byte, blockBytes)
	copy(p, memberName)
	copy(p[atMode:], "0000644")
	putNumber(p[atSize:], disk.Size())
	putNumber(p[atTime:], 0)
	p[atType] = '0'
	copy(p[atMagic:], magic)
	putSum(p)
	body := make([]byte, 10*blockBytes+1024)
	imgtest.ReadFull(t, disk, body[:disk.Size()], 0)
	imgtest.EqualDisk(t, open(t, pack(t, append(p, body...))), disk)
}

// TestStream holds what Stream delivers against the disk: in order, inside, and
// zeros for all that is left out.
func TestStream(t *testing.T) {
	disk := imgtest.Random(17, 30<<20+512, 9<<20)
	file, _ := formattest.Record(t, Encoder{Align: 512}, disk, nil)
	d := open(t, file.Bytes).(formats.Streamer)
	got := make([]byte, disk.Size())
	end := int64(0)
	err := d.Stream(t.Context(), func(off int64, p []byte) error {
		if off < end || len(p) == 0 || off+int64(len(p)) > d.Size() {
			return fmt.Errorf("%d bytes at %d behind %d of %d", len(p), off, end, d.Size())
		}
		end = off + int64(copy(got[off:], p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	imgtest.Equal(t, bytes.NewReader(got), disk, disk.Size())

	enough := errors.New("enough")
	if err := d.Stream(t.Context(), func(int64, []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("deliver fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Stream(ctx, func(int64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestStreamFindsDamageBehindTheData delivers all of it and then fails.
func TestStreamFindsDamageBehindTheData(t *testing.T) {
	d := open(t, formattest.Set(-8, 9)(bytes.Clone(good(t)))).(formats.Streamer)
	n := 0
	err := d.Stream(t.Context(), func(_ int64, p []byte) error { n += len(p); return nil })
	if errcode.Of(err) != errcode.CompressionCorrupt || n != 6*8192 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// counting counts the bytes that are read of a file.
type counting struct {
	io.ReaderAt
	n int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// TestReadAtOfAscendingOffsetsReadsTheFileOnce also if some go back a little, as
// those of several workers do.
func TestReadAtOfAscendingOffsetsReadsTheFileOnce(t *testing.T) {
	disk := imgtest.New(24<<20, 18, imgtest.Run{Off: 0, Len: 24 << 20, Kind: imgtest.Noise})
	file, _ := formattest.Record(t, Encoder{Align: 512}, disk, nil)
	r := &counting{ReaderAt: bytes.NewReader(file.Bytes)}
	lim := formats.DefaultLimits()
	lim.CacheBytes = 8 << 20
	d, err := Open(r, int64(len(file.Bytes)), lim)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r.n = 0
	p, want := make([]byte, 1<<20), make([]byte, 1<<20)
	for i := range int64(24) {
		off := i ^ 3 // 3 2 1 0 7 6 5 4 …
		imgtest.ReadFull(t, d, p, off<<20)
		imgtest.ReadFull(t, disk, want, off<<20)
		if !bytes.Equal(p, want) {
			t.Fatalf("other bytes at %d MiB", off)
		}
	}
	if r.n > int64(len(file.Bytes)) {
		t.Errorf("%d bytes are read of a file of %d", r.n, len(file.Bytes))
	}
	imgtest.ReadFull(t, d, p, 0)
	imgtest.ReadFull(t, disk, want, 0)
	if !bytes.Equal(p, want) {
		t.Error("other bytes after going back to the begin")
	}
}

// TestOpenKeepsTheSourcesError gives an error of the reader no code of the format.
func TestOpenKeepsTheSourcesError(t *testing.T) {
	gone := errcode.New(errcode.SourceUnreachable, "gone")
	if _, err := Open(broken{gone}, 1000, formats.DefaultLimits()); errcode.Of(err) != errcode.SourceUnreachable {
		t.Errorf("open: %v", err)
	}
}

type broken struct{ err error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.err }
