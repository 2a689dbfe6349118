package raw

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// plainReader hides that a file knows its holes.
type plainReader struct{ io.ReaderAt }

func TestReader(t *testing.T) {
	for _, c := range append(imgtest.Cases(), imgtest.Case{Name: "odd size", Disk: imgtest.Random(3, 3<<20+1, 1<<20)}) {
		t.Run(c.Name, func(t *testing.T) {
			f := imgtest.OpenFile(t, imgtest.WriteRaw(t, c.Disk))
			t.Run("sparse", func(t *testing.T) {
				formattest.Reader(t, formattest.Spec{Open: formattest.OpenBytes(Format{}, f, f.Size()), File: f, Want: c.Disk})
			})
			t.Run("plain", func(t *testing.T) {
				if c.Disk.Size() > 64<<20 {
					return // one extent of data: the smaller disks say the same
				}
				formattest.Reader(t, formattest.Spec{Open: formattest.OpenBytes(Format{}, plainReader{f}, f.Size()), File: f, Want: c.Disk})
			})
		})
	}
}

func TestHolesAreFoundOnlyThroughTheReader(t *testing.T) {
	d := imgtest.New(16<<20, 1, imgtest.Run{Off: 8 << 20, Len: 1 << 20, Kind: imgtest.Noise})
	f := imgtest.OpenFile(t, imgtest.WriteRaw(t, d))
	for _, c := range []struct {
		name string
		r    io.ReaderAt
		want int64
	}{{"sparse file", f, 1 << 20}, {"plain reader", plainReader{f}, 16 << 20}} {
		disk := New(c.r, f.Size())
		got, err := formats.DataBytes(disk)
		if err != nil || got != c.want {
			t.Errorf("%s: %d bytes of data, %v, want %d", c.name, got, err, c.want)
		}
		if known := disk.Info().HolesKnown; known != (c.r == io.ReaderAt(f)) {
			t.Errorf("%s: holes known: %v", c.name, known)
		}
	}
}

func TestOpenLimits(t *testing.T) {
	lim := formats.DefaultLimits()
	lim.VirtualSize = 1024
	for _, c := range []struct {
		size int64
		want errcode.Code
	}{{0, errcode.Empty}, {-1, errcode.Empty}, {1, ""}, {1024, ""}, {1025, errcode.VirtualSizeTooLarge}} {
		_, err := Format{}.Open(bytes.NewReader(make([]byte, 2048)), c.size, lim)
		if got := errcode.Of(err); got != c.want {
			t.Errorf("size %d: %q, want %q", c.size, got, c.want)
		}
	}
}

func TestUnalignedSizeGetsAFinding(t *testing.T) {
	if f := New(bytes.NewReader(make([]byte, 1024)), 1024).Info().Findings; len(f) != 0 {
		t.Errorf("two sectors: findings %v", f)
	}
	f := New(bytes.NewReader(make([]byte, 1025)), 1025).Info().Findings
	if len(f) != 1 || f[0].Code != errcode.SizeUnaligned || f[0].Severity != formats.SeverityWarning {
		t.Errorf("findings %v, want one warning %s", f, errcode.SizeUnaligned)
	}
}

func TestFileShorterThanTheDisk(t *testing.T) {
	d := New(bytes.NewReader(make([]byte, 1000)), 2048)
	n, err := d.ReadAt(make([]byte, 2048), 0)
	if n != 1000 || errcode.Of(err) != errcode.Truncated || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read past the file: %d, %v", n, err)
	}
}

func TestPlanIsTheDisk(t *testing.T) {
	for _, c := range imgtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			p, err := Planner{}.Plan(t.Context(), c.Disk)
			if err != nil {
				t.Fatal(err)
			}
			if p.Size() != c.Disk.Size() || p.Summary().FileSize != p.Size() || len(slices.Collect(p.Metadata())) != 0 {
				t.Errorf("size %d, summary %+v", p.Size(), p.Summary())
			}
			imgtest.Equal(t, p, c.Disk, p.Size())
			for _, off := range []int64{0, p.Size() / 2, p.Size() - 1} {
				if host, n := p.Locate(off); host != off || n != p.Size()-off {
					t.Errorf("locate %d: %d, %d", off, host, n)
				}
			}
			if host, _ := p.Locate(p.Size()); host != -1 {
				t.Errorf("locate behind the end: %d", host)
			}
			buf := make([]byte, 1000)
			if n, err := p.ReadAt(buf, p.Size()-100); n != 100 || err != io.EOF {
				t.Errorf("read over the end: %d, %v", n, err)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	d := imgtest.New(64<<20, 1, imgtest.Run{Off: 0, Len: 64 << 20, Kind: imgtest.Noise})
	f := imgtest.OpenFile(b, imgtest.WriteRaw(b, d))
	formattest.BenchmarkRead(b, New(f, f.Size()))
}
