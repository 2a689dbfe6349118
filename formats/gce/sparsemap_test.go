package gce

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

func TestMap(t *testing.T) {
	const mib = 1 << 20
	data := func(off, n int64) imgtest.Run { return imgtest.Run{Off: off, Len: n, Kind: imgtest.Noise} }
	for name, c := range map[string]struct {
		disk *imgtest.Disk
		want []run
	}{
		"nothing":              {imgtest.New(mib, 1), nil},
		"zeros":                {imgtest.New(mib, 1, imgtest.Run{Off: 0, Len: mib, Kind: imgtest.Zero}), nil},
		"all":                  {imgtest.New(mib, 1, data(0, mib)), []run{{0, mib}}},
		"one byte":             {imgtest.New(mib, 1, data(5000, 1)), []run{{4096, 8192}}},
		"a short hole":         {imgtest.New(mib, 1, data(0, 1), data(4096+firstGap-1, 1)), []run{{0, 4096 + firstGap}}},
		"a hole":               {imgtest.New(mib, 1, data(0, 1), data(4096+firstGap, 1)), []run{{0, 4096}, {4096 + firstGap, 8192 + firstGap}}},
		"two in one 4 KiB":     {imgtest.New(mib, 1, data(10, 1), data(20, 1)), []run{{0, 4096}}},
		"the end of a disk":    {imgtest.New(mib-512, 1, data(mib-1024, 1)), []run{{mib - 4096, mib - 512}}},
		"behind a source":      {imgtest.New(100, 1, data(0, 100)), []run{{0, 512}}},
		"behind an odd source": {imgtest.New(4097, 1, data(4096, 1)), []run{{4096, 4608}}},
	} {
		t.Run(name, func(t *testing.T) {
			size, err := Encoder{Level: 1, Align: 512}.virtualSize(c.disk.Size())
			if err != nil {
				t.Fatal(err)
			}
			m, err := mapOf(t.Context(), c.disk, size)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, m.runs, cmp.AllowUnexported(run{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// scattered has n pieces of data, with holes between them that grow from 64 KiB to
// 124 KiB.
func scattered(n int64) *imgtest.Disk {
	var runs []imgtest.Run
	off := int64(0)
	for i := range n {
		runs = append(runs, imgtest.Run{Off: off, Len: 4096, Kind: imgtest.Text})
		off += 4096 + firstGap + i%16*4096
	}
	return imgtest.New(off, 8, runs...)
}

// TestMapIsBounded gives up the shortest holes, and no more of them than it must.
func TestMapIsBounded(t *testing.T) {
	for _, c := range []struct {
		pieces int64
		want   int
	}{
		{maxRuns, maxRuns}, {maxRuns + 1, 1}, {5 * maxRuns, 1},
	} {
		m, err := mapOf(t.Context(), scattered(c.pieces), 1<<40)
		if err != nil || len(m.runs) != c.want {
			t.Errorf("%d pieces make %d runs, %v; want %d", c.pieces, len(m.runs), err, c.want)
		}
	}
}

// TestLargestMap reads the largest map back, which needs extension blocks and, on a
// disk above 8 GiB, numbers in base-256.
func TestLargestMap(t *testing.T) {
	runs := []imgtest.Run{{Off: 9 << 40, Len: 4096, Kind: imgtest.Text}}
	const step = runAlign + firstGap
	for i := range int64(maxRuns - 1) {
		runs = append(runs, imgtest.Run{Off: 7<<30 + i*step, Len: 512, Kind: imgtest.Text})
	}
	disk := imgtest.New(10<<40, 8, runs...)
	file, _ := formattest.Record(t, Encoder{}, disk, nil)
	d := open(t, file.Bytes)
	n := 0
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State == formats.Data {
			n++
		}
	}
	if n != maxRuns {
		t.Errorf("%d runs are read back, want %d", n, maxRuns)
	}
	p := make([]byte, 512)
	want := make([]byte, 512)
	for _, off := range []int64{7 << 30, 7<<30 + 9000*step, 7<<30 + (maxRuns-2)*step, 9 << 40} {
		imgtest.ReadFull(t, d, p, off)
		imgtest.ReadFull(t, disk, want, off)
		if !bytes.Equal(p, want) {
			t.Errorf("other bytes at %d", off)
		}
	}
	witness(t, file.Bytes, disk, witnessLarge)
}
