package imgtest

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"ingest/formats"
)

func TestDiskReadsTheSameAtEveryAlignment(t *testing.T) {
	d := Random(1, 3<<20+7, 1<<20)
	all := make([]byte, d.Size())
	if n, err := d.ReadAt(all, 0); n != len(all) || err != nil {
		t.Fatalf("read all: %d, %v", n, err)
	}
	part := make([]byte, 4099)
	for off := int64(0); off < d.Size(); off += 3001 {
		n, err := d.ReadAt(part, off)
		if n < len(part) && err != io.EOF {
			t.Fatalf("read at %d: %d, %v", off, n, err)
		}
		if !bytes.Equal(part[:n], all[off:off+int64(n)]) {
			t.Fatalf("read at %d differs from a read of all", off)
		}
	}
	if _, err := d.ReadAt(part, d.Size()); !errors.Is(err, io.EOF) {
		t.Errorf("read at the end: %v, want EOF", err)
	}
}

func TestKindsAreWhatTheySay(t *testing.T) {
	const n = 1 << 20
	for _, c := range []struct {
		kind     Kind
		min, max int // bytes after deflate
	}{{Noise, n, n + n/50}, {Text, n / 100, n / 4}, {Zero, 0, n / 100}, {Hole, 0, n / 100}} {
		p := make([]byte, n)
		fill(p, c.kind, 42, 12345)
		if has := bytes.IndexByte(p, 0) >= 0; has == c.kind.IsData() {
			t.Errorf("kind %d: has a zero byte: %v", c.kind, has)
		}
		var out bytes.Buffer
		w, _ := flate.NewWriter(&out, flate.BestSpeed)
		w.Write(p)
		w.Close()
		if out.Len() < c.min || out.Len() > c.max {
			t.Errorf("kind %d deflates to %d bytes, want %d to %d", c.kind, out.Len(), c.min, c.max)
		}
	}
}

func TestRandomKeepsItsBudgetAndSeed(t *testing.T) {
	a, b := Random(7, 1<<33, 4<<20), Random(7, 1<<33, 4<<20)
	var stored int64
	for i, r := range a.Runs() {
		if b.Runs()[i] != r {
			t.Fatalf("run %d differs between two disks of one seed", i)
		}
		if r.Kind != Hole {
			stored += r.Len
		}
	}
	if stored == 0 || stored > 4<<20 {
		t.Errorf("%d bytes are stored, want 1 to %d", stored, 4<<20)
	}
}

func TestWriteRawIsTheDisk(t *testing.T) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			path := WriteRaw(t, c.Disk)
			f := OpenFile(t, path)
			if f.Size() != c.Disk.Size() {
				t.Fatalf("file size %d, want %d", f.Size(), c.Disk.Size())
			}
			Equal(t, f, c.Disk, c.Disk.Size())
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := st.Sys().(*syscall.Stat_t).Blocks * 512; got > 32<<20 {
				t.Errorf("the file takes %d bytes of a sparse disk", got)
			}
		})
	}
}

func TestExtentsAndNextDataAgree(t *testing.T) {
	for _, c := range Cases() {
		var byExtents, byNext int64
		for e, err := range formats.Extents(c.Disk, 0, c.Disk.Size()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.State == formats.Data {
				byExtents += e.Len
			}
		}
		for off := int64(0); off < c.Disk.Size(); {
			start, end, err := c.Disk.NextData(off)
			if err != nil {
				t.Fatal(err)
			}
			byNext += end - start
			off = end
		}
		if byExtents != byNext {
			t.Errorf("%s: extents hold %d bytes of data, NextData %d", c.Name, byExtents, byNext)
		}
	}
}

func TestConvertThroughQemu(t *testing.T) {
	d := Random(3, 6<<20, 2<<20)
	qcow := Convert(t, WriteRaw(t, d), "raw", "qcow2", "cluster_size=4k", "-c")
	back := Convert(t, qcow, "qcow2", "raw")
	Equal(t, OpenFile(t, back), d, d.Size())
	if f := OpenFile(t, Create(t, "qcow2", 1<<30)); f.Size() == 0 {
		t.Error("a created image has no bytes")
	}
}
