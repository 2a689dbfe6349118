package diskmap

import (
	"encoding/json"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/vhd"
	"ingest/formats/vmdk"
	"ingest/internal/imgtest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// seq yields extents.
func seq(extents ...formats.Extent) iter.Seq2[formats.Extent, error] {
	return func(yield func(formats.Extent, error) bool) {
		for _, e := range extents {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// laid puts extents one behind the other and fills up to size with a hole.
func laid(size int64, extents ...formats.Extent) []formats.Extent {
	var off int64
	for i := range extents {
		extents[i].Off = off
		off += extents[i].Len
	}
	if off < size {
		extents = append(extents, formats.Extent{Off: off, Len: size - off, State: formats.Hole, HostOff: -1})
	}
	return extents
}

func plain(n, host int64) formats.Extent { return formats.Extent{Len: n, HostOff: host} }
func packed(n int64) formats.Extent      { return formats.Extent{Len: n, Compressed: true, HostOff: -1} }
func zeros(n int64) formats.Extent {
	return formats.Extent{Len: n, State: formats.Zero, HostOff: -1}
}
func hole(n int64) formats.Extent {
	return formats.Extent{Len: n, State: formats.Hole, HostOff: -1}
}

func build(t *testing.T, size int64, columns, rows int, extents ...formats.Extent) *Map {
	t.Helper()
	m, err := Build(Head{Source: "disk.qcow2", Format: "qcow2", Subformat: "v3", Size: size, FileSize: 123 * mib, HolesKnown: true}, seq(extents...), columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, m)
	return m
}

// checkSums checks that every byte is counted once in the cells and once in
// the totals, and that each cell stands for just its bytes.
func checkSums(t *testing.T, m *Map) {
	t.Helper()
	var sum Cell
	for i, c := range m.Cells {
		want := min(m.Grid.CellBytes, m.Size-int64(i)*m.Grid.CellBytes)
		if c.Bytes() != want {
			t.Fatalf("cell %d counts %d bytes, want %d", i, c.Bytes(), want)
		}
		for k, n := range c {
			sum[k] += n
		}
	}
	for k, n := range sum {
		if m.Totals.Of[k].Bytes != n {
			t.Errorf("%v: cells count %d bytes, totals %d", Class(k), n, m.Totals.Of[k].Bytes)
		}
	}
	if n := m.Totals.All().Bytes; n != m.Size {
		t.Errorf("totals count %d bytes of %d", n, m.Size)
	}
}

func TestGrid(t *testing.T) {
	for _, size := range []int64{1, 511, 512, 513, 64 * kib, mib + 1, 10 * gib, 10*gib + 512, tib, 64 * tib, 64*tib - 512, 1<<63 - 1} {
		for _, shape := range [][2]int{{1, 8}, {16, 4}, {64, 16}, {176, 40}, {128, 52}, {1 << 30, 1 << 30}, {0, -1}} {
			g := NewGrid(size, shape[0], shape[1])
			columns := min(max(shape[0], 1), maxCells)
			if g.Columns != columns || g.Len() < 1 || g.Len() > columns*min(max(shape[1], 1), maxCells/columns) {
				t.Errorf("%d bytes in %v: %d columns, %d cells", size, shape, g.Columns, g.Len())
			}
			last := int64(g.Len()-1) * g.CellBytes
			if last >= size || size-last > g.CellBytes || g.RowOff(g.Rows()-1) > last {
				t.Errorf("%d bytes in %v: %d cells of %d bytes in %d rows", size, shape, g.Len(), g.CellBytes, g.Rows())
			}
			if want := shape[0] * shape[1] * 3 / 4; shape[0] > 1 && shape[0] < 1<<20 && size > mib*2 && g.Len() < want {
				t.Errorf("%d bytes in %v: %d cells, want %d or more", size, shape, g.Len(), want)
			}
		}
	}
	if g := NewGrid(10*gib, 64, 16); g.RowOff(1) != 640*mib {
		t.Errorf("a row of 10 GiB in 64 by 16 is %d bytes", g.RowOff(1))
	}
}

func TestCells(t *testing.T) {
	m := build(t, 10*4096+100, 4, 3, laid(10*4096+100,
		plain(4096, 0), plain(1, 8192), zeros(2), packed(4093), hole(2*4096), zeros(3*4096))...)
	if m.Grid.CellBytes != 3584 {
		t.Fatalf("cells of %d bytes", m.Grid.CellBytes)
	}
	want := []Cell{{Data: 3584}, {Data: 513, Zero: 2, Compressed: 3069}, {Compressed: 1024, Hole: 2560}, {Hole: 3584}, {Hole: 2048, Zero: 1536}}
	if diff := cmp.Diff(want, m.Cells[:5]); diff != "" {
		t.Error(diff)
	}
}

func TestSumsAreExactAtAnySize(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{1, 512, 12345, 3*mib + 7, 2*tib + 1, 64 * tib} {
		var all []formats.Extent
		for off := int64(0); off < size; {
			n := min(size-off, 1+rng.Int64N(max(size/500, 3)))
			e := [...]formats.Extent{plain(n, off), packed(n), zeros(n), hole(n)}[rng.IntN(4)]
			e.Off = off
			all = append(all, e)
			off += n
		}
		for _, shape := range [][2]int{{16, 4}, {64, 16}, {128, 52}} {
			m := build(t, size, shape[0], shape[1], all...)
			if got := m.Totals.All().Extents; got != int64(len(all)) {
				t.Errorf("%d extents counted, want %d", got, len(all))
			}
		}
	}
}

func TestTotals(t *testing.T) {
	tests := []struct {
		name          string
		extents       []formats.Extent
		plain, pieces int64
		inOrder       float64
	}{
		{"nothing", nil, 0, 0, 1},
		{"one", []formats.Extent{plain(512, 4096)}, 1, 1, 1},
		{"packed by holes", []formats.Extent{plain(512, 4096), hole(512), plain(512, 4608)}, 2, 1, 1},
		{"as in a raw file", []formats.Extent{plain(512, 0), hole(512), plain(512, 1024), zeros(512), plain(512, 2048)}, 3, 1, 1},
		{"backwards", []formats.Extent{plain(512, 8192), plain(512, 4096), plain(512, 0)}, 3, 3, 0},
		{"one of two", []formats.Extent{plain(512, 0), plain(512, 8192), hole(512), plain(512, 8704)}, 3, 2, 0.5},
		{"compressed has no place", []formats.Extent{plain(512, 0), packed(512), {Len: 512, HostOff: -1}, plain(512, 512)}, 2, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := build(t, 16*kib, 16, 4, laid(16*kib, tt.extents...)...)
			got := m.Totals
			if got.Plain != tt.plain || got.Pieces != tt.pieces || got.InOrder() != tt.inOrder {
				t.Errorf("%d plain, %d pieces, %v in order; want %d, %d, %v", got.Plain, got.Pieces, got.InOrder(), tt.plain, tt.pieces, tt.inOrder)
			}
		})
	}
	m := build(t, 10*kib, 16, 4, laid(10*kib, plain(1024, 0), hole(512), plain(2049, 0), packed(512))...)
	if diff := cmp.Diff(Sum{Bytes: 3073, Extents: 2, Largest: 2049}, m.Totals.Of[Data]); diff != "" {
		t.Error(diff)
	}
	if got := m.Totals.Of[Data].Average(); got != 1536 {
		t.Errorf("average %d", got)
	}
}

// TestGapsAreErrors keeps sums from being wrong in silence.
func TestGapsAreErrors(t *testing.T) {
	broken := errors.New("broken table")
	tests := []struct {
		name    string
		extents iter.Seq2[formats.Extent, error]
		want    string
	}{
		{"begins late", seq(formats.Extent{Off: 1, Len: 9}), "does not follow on 0"},
		{"gap", seq(formats.Extent{Len: 3}, formats.Extent{Off: 4, Len: 6}), "does not follow on 3"},
		{"overlap", seq(formats.Extent{Len: 3}, formats.Extent{Off: 2, Len: 8}), "does not follow on 3"},
		{"empty", seq(formats.Extent{}), "does not follow on 0"},
		{"ends early", seq(formats.Extent{Len: 9}), "end at 9"},
		{"too long", seq(formats.Extent{Len: 11}), "does not follow on 0"},
		{"nothing", seq(), "end at 0"},
		{"error", func(yield func(formats.Extent, error) bool) { yield(formats.Extent{}, broken) }, "broken table"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Build(Head{Size: 10}, tt.extents, 16, 4); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Build: %v, want %q", err, tt.want)
			}
			var out strings.Builder
			if err := WriteJSON(&out, Head{Size: 10}, tt.extents, false); err == nil || json.Valid([]byte(out.String())) {
				t.Errorf("WriteJSON: %v, a whole object: %s", err, out.String())
			}
		})
	}
}

// openImage opens an image that qemu-img has made.
func openImage(t *testing.T, format formats.Format, path string) formats.Disk {
	t.Helper()
	f := imgtest.OpenFile(t, path)
	d, err := format.Open(f, f.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestAgainstQemu compares the sums with what qemu-img says of the same image.
func TestAgainstQemu(t *testing.T) {
	const size = 96 * mib
	model := imgtest.New(size, 5,
		imgtest.Run{Off: 0, Len: 3 * mib, Kind: imgtest.Noise},
		imgtest.Run{Off: 7 * mib, Len: 64 * kib, Kind: imgtest.Text},
		imgtest.Run{Off: 20 * mib, Len: 9 * mib, Kind: imgtest.Text},
		imgtest.Run{Off: 40 * mib, Len: 2 * mib, Kind: imgtest.Zero},
		imgtest.Run{Off: size - mib, Len: mib, Kind: imgtest.Noise})
	rawPath := imgtest.WriteRaw(t, model)
	tests := []struct {
		name       string
		format     formats.Format
		qemu       string
		options    []string
		compressed bool
	}{
		{"raw", raw.Format{}, "raw", nil, false},
		{"qcow2", qcow2.Format{}, "qcow2", nil, false},
		{"qcow2 zeros kept", qcow2.Format{}, "qcow2", []string{"-S0"}, false},
		{"qcow2 preallocated", qcow2.Format{}, "qcow2", []string{"preallocation=metadata"}, false},
		{"qcow2 compressed", qcow2.Format{}, "qcow2", []string{"-c"}, true},
		{"vmdk", vmdk.Format{}, "vmdk", []string{"subformat=monolithicSparse"}, false},
		{"vmdk compressed", vmdk.Format{}, "vmdk", []string{"subformat=streamOptimized"}, true},
		{"vhd", vhd.Format{}, "vpc", []string{"subformat=dynamic", "force_size=on"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := rawPath
			if tt.qemu != "raw" {
				path = imgtest.Convert(t, rawPath, "raw", tt.qemu, tt.options...)
			}
			d := openImage(t, tt.format, path)
			m, err := Build(HeadOf(path, d), formats.Extents(d, 0, d.Size()), 64, 16)
			if err != nil {
				t.Fatal(err)
			}
			checkSums(t, m)
			got := [2]int64{m.Totals.Of[Data].Bytes + m.Totals.Of[Compressed].Bytes, m.Totals.Of[Zero].Bytes + m.Totals.Of[Hole].Bytes}
			if want := qemuSums(t, tt.qemu, path); got != want {
				t.Errorf("stored and not stored: %d, qemu-img says %d", got, want)
			}
			if got := m.Totals.Of[Compressed].Bytes > 0; got != tt.compressed {
				t.Errorf("compressed: %+v", m.Totals)
			}
			fi, err := os.Stat(path)
			if err != nil || m.FileSize != fi.Size() {
				t.Errorf("file size %d, %v", m.FileSize, err)
			}
		})
	}
}

// qemuSums returns the bytes that are stored, and those that are not.
func qemuSums(t *testing.T, format, path string) [2]int64 {
	t.Helper()
	var runs []struct {
		Length int64
		Data   bool
	}
	if err := json.Unmarshal([]byte(imgtest.QemuImg(t, "map", "-f", format, "--output=json", path)), &runs); err != nil {
		t.Fatal(err)
	}
	var sums [2]int64
	for _, r := range runs {
		if r.Data {
			sums[0] += r.Length
		} else {
			sums[1] += r.Length
		}
	}
	return sums
}

// counted counts the questions to a disk.
type counted struct {
	formats.Disk
	n int
}

func (c *counted) ExtentAt(off int64) (formats.Extent, error) {
	c.n++
	return c.Disk.ExtentAt(off)
}

// TestSparseTerabytes: the work grows with what a disk holds, not with its size.
func TestSparseTerabytes(t *testing.T) {
	d := &counted{Disk: openImage(t, qcow2.Format{}, imgtest.Create(t, "qcow2", 8*tib, "cluster_size=2M"))}
	m, err := Build(HeadOf("disk", d), formats.Extents(d, 0, d.Size()), 128, 52)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, m)
	if d.n > 100 || m.Totals.Of[Hole].Bytes != 8*tib {
		t.Errorf("asked %d times: %+v", d.n, m.Totals)
	}
}
