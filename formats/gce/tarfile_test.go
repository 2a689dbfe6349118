package gce

import (
	"bytes"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// tarFormat reads what is within the gzip.
type tarFormat struct{ format }

// Open opens a tar file.
func (tarFormat) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	return OpenTar(r, size, lim)
}

// TestTarReader runs the readers' suite over what is within the gzip.
func TestTarReader(t *testing.T) {
	for _, c := range imgtest.Cases() {
		if c.Disk.Size() == 0 || c.Disk.Size() > 1<<36 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			file, sum := formattest.Record(t, Encoder{Align: 512}, c.Disk, nil)
			if sum.VirtualSize != c.Disk.Size() {
				t.Skip("rounded up to whole sectors")
			}
			p := unpack(t, file.Bytes)
			formattest.Reader(t, formattest.Spec{Want: c.Disk, File: bytes.NewReader(p), Open: func(t testing.TB) formats.Disk {
				d, err := OpenTar(bytes.NewReader(p), int64(len(p)), formats.DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				return d
			}})
		})
	}
}

// TestTarKnowsItsHoles as Open does.
func TestTarKnowsItsHoles(t *testing.T) {
	p := unpack(t, good(t))
	d, err := OpenTar(bytes.NewReader(p), int64(len(p)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	imgtest.EqualDisk(t, d, imgtest.New(7<<20, 4, goodRuns()...))
	n, err := formats.DataBytes(d)
	if err != nil || n > 6*3*runAlign {
		t.Errorf("%d bytes are data, %v", n, err)
	}
}

// goodRuns are those of good.
func goodRuns() []imgtest.Run {
	var runs []imgtest.Run
	for i := range int64(6) {
		runs = append(runs, imgtest.Run{Off: i << 20, Len: 5000, Kind: imgtest.Text})
	}
	return runs
}

func TestBadTar(t *testing.T) {
	p := unpack(t, good(t))
	summed := func(change func(b []byte)) func([]byte) []byte {
		return func(b []byte) []byte {
			change(b)
			putSum(b)
			return b
		}
	}
	lim := formats.DefaultLimits()
	lim.VirtualSize = 7<<20 - 1
	formattest.Refused(t, tarFormat{}, p, []formattest.Bad{
		{Name: "empty", Make: func([]byte) []byte { return nil }, Want: errcode.GCPLayout},
		{Name: "another name", Make: summed(func(b []byte) { b[0] = 'D' }), Want: errcode.GCPLayout},
		{Name: "no sum", Make: formattest.Set(148, '7', '7'), Want: errcode.GCPLayout},
		{Name: "cut in the data", Make: func(b []byte) []byte { return b[:len(b)/2] }, Want: errcode.Truncated},
		{Name: "cut in the header", Make: func(b []byte) []byte { return b[:100] }, Want: errcode.Truncated},
		{Name: "something behind", Make: formattest.Set(-1, 1), Want: errcode.GCPLayout},
		{Name: "too large", Make: func(b []byte) []byte { return b }, Want: errcode.VirtualSizeTooLarge, Limits: &lim},
		{Name: "vast size", Make: summed(func(b []byte) { putNumber(b[483:], 1<<62) }), Want: errcode.VirtualSizeTooLarge},
	})
}
