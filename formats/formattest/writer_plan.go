package formattest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/imgtest"
)

// plan lays the disk out.
func (w WriterSpec) plan(t *testing.T, src formats.Disk) formats.Plan {
	t.Helper()
	p, err := w.Planner.Plan(t.Context(), src)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return p
}

// checkPlan holds a plan against its own bytes, which it writes to path.
func (w WriterSpec) checkPlan(t *testing.T, disk *imgtest.Disk, path string) formats.Summary {
	t.Helper()
	p := w.plan(t, disk)
	if p.Size() != p.Summary().FileSize {
		t.Fatalf("size is %d, the summary says %+v", p.Size(), p.Summary())
	}
	stream(t, p, path)
	out := imgtest.OpenFile(t, path)
	if out.Size() != p.Size() {
		t.Fatalf("the file has %d bytes, the plan %d", out.Size(), p.Size())
	}
	again := w.plan(t, disk)
	if again.Size() != p.Size() {
		t.Fatalf("a second plan has %d bytes, the first %d", again.Size(), p.Size())
	}
	imgtest.Equal(t, again, out, p.Size())
	checkRanges(t, p, out)
	checkPlanEnd(t, p)
	checkPlaces(t, p, out, padded{disk, p.Summary().VirtualSize})
	return p.Summary()
}

// stream writes the plan from begin to end. What NextData leaves out becomes a
// hole; of a file that is not large it is read all the same, and must be zeros.
func stream(t *testing.T, p formats.Plan, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(p.Size()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, chunkBytes)
	piece := func(off, end int64, write bool) {
		for ; off < end; off += int64(len(buf)) {
			b := buf[:min(int64(len(buf)), end-off)]
			imgtest.ReadFull(t, p, b, off)
			if !write && !binio.IsZero(b) {
				t.Fatalf("bytes at %d to %d are not zeros, and no data for NextData", off, off+int64(len(b)))
			}
			if !write {
				continue
			}
			if _, err := f.WriteAt(b, off); err != nil {
				t.Fatal(err)
			}
		}
	}
	for off := int64(0); off < p.Size(); {
		start, end, err := p.NextData(off)
		if err != nil || start < off || end < start || end > p.Size() {
			t.Fatalf("next data at %d of %d: %d, %d, %v", off, p.Size(), start, end, err)
		}
		if start == end {
			start, end = p.Size(), p.Size()
		}
		if p.Size() <= wholeBytes {
			piece(off, start, false)
		}
		piece(start, end, true)
		off = end
	}
}

// checkRanges reads ranges of the plan from several goroutines at once, also
// over its end.
func checkRanges(t *testing.T, p formats.Plan, out *imgtest.File) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range uint64(goroutines) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(g, 4))
			for i := range randomReads {
				off := rng.Int64N(p.Size() + 100)
				if i%2 == 0 {
					if start, _, err := out.NextData(min(off, p.Size()-1)); err == nil && start < p.Size() {
						off = max(0, start-rng.Int64N(70_000))
					}
				}
				b, want := make([]byte, rng.IntN(maxRandomLen)), make([]byte, maxRandomLen)
				n, err := p.ReadAt(b, off)
				end := min(off+int64(len(b)), p.Size())
				if int64(n) != max(0, end-off) || err != nil && err != io.EOF || n < len(b) && err == nil {
					t.Errorf("read %d bytes at %d of %d: %d, %v", len(b), off, p.Size(), n, err)
					return
				}
				if k, err := out.ReadAt(want[:n], off); k < n {
					t.Errorf("read %d bytes of the stream at %d: %d, %v", n, off, k, err)
					return
				}
				if err := difference(b[:n], want[:n], off); err != nil {
					t.Errorf("other bytes than the stream: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// checkPlanEnd asks a plan for what lies outside it.
func checkPlanEnd(t *testing.T, p formats.Plan) {
	t.Helper()
	buf := make([]byte, 100)
	if n, err := p.ReadAt(buf, p.Size()); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v, want EOF", n, err)
	}
	if n, err := p.ReadAt(buf, -1); n != 0 || err == nil || err == io.EOF {
		t.Errorf("read at -1: %d, %v, want an error", n, err)
	}
	if start, end, err := p.NextData(p.Size()); start != end || err != nil {
		t.Errorf("next data at the end: %d, %d, %v", start, end, err)
	}
	for _, off := range []int64{-1, p.Summary().VirtualSize} {
		if host, n := p.Locate(off); host != -1 || n != 0 {
			t.Errorf("locate %d of %d: %d, %d, want -1, 0", off, p.Summary().VirtualSize, host, n)
		}
	}
}

// checkPlaces holds Metadata and Locate against the bytes: a guest byte lies
// where it is located, what is not stored is zero in the guest, and what neither
// names is zero in the file. No byte has two uses.
func checkPlaces(t *testing.T, p formats.Plan, out *imgtest.File, disk padded) {
	t.Helper()
	var used []formats.Range
	for r := range p.Metadata() {
		if n := len(used); r.Off < 0 || r.Len() <= 0 || r.End > p.Size() || n > 0 && r.Off < used[n-1].End {
			t.Fatalf("metadata at %d to %d of %d, after %v", r.Off, r.End, p.Size(), used)
		}
		used = append(used, r)
	}
	for off := int64(0); off < disk.Size(); {
		host, n := p.Locate(off)
		if n <= 0 || n > disk.Size()-off || host < -1 || host >= 0 && n > p.Size()-host {
			t.Fatalf("locate %d: %d bytes at %d; the guest has %d, the file %d", off, n, host, disk.Size(), p.Size())
		}
		if host < 0 {
			if start, end, err := disk.NextData(off); err != nil || start < end && start < off+n {
				t.Fatalf("data at %d is not stored (%v)", start, err)
			}
		} else {
			checkPlace(t, out, disk, host, off, n)
			used = append(used, formats.Range{Off: host, End: host + n})
		}
		off += n
	}
	slices.SortFunc(used, func(a, b formats.Range) int { return int(min(1, max(-1, a.Off-b.Off))) })
	var end int64
	for _, r := range append(used, formats.Range{Off: p.Size(), End: p.Size()}) {
		if r.Off < end {
			t.Fatalf("bytes %d to %d have two uses", r.Off, end)
		}
		imgtest.Equal(t, window{out, end, r.Off - end}, window{zeros{}, 0, r.Off - end}, r.Off-end)
		end = r.End
	}
}

// checkPlace fails unless n guest bytes at off lie in the file at host.
func checkPlace(t *testing.T, out *imgtest.File, disk padded, host, off, n int64) {
	t.Helper()
	imgtest.Equal(t, window{out, host, n}, window{disk, off, n}, n)
}

// window is n bytes of a content, from off on.
type window struct {
	imgtest.Content
	off, n int64
}

func (s window) ReadAt(b []byte, off int64) (int, error) {
	return s.Content.ReadAt(b, s.off+off)
}

func (s window) NextData(off int64) (start, end int64, err error) {
	start, end, err = s.Content.NextData(s.off + off)
	start, end = min(start-s.off, s.n), min(end-s.off, s.n)
	if start >= end {
		start, end = s.n, s.n
	}
	return start, end, err
}

// zeros is a content without data.
type zeros struct{}

func (zeros) Size() int64 { return 0 }
func (zeros) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}
func (zeros) NextData(off int64) (start, end int64, err error) { return off, off, nil }

// errCut is what a disk that cannot be read answers.
var errCut = errors.New("cable cut")

// cut is a disk whose bytes cannot be read from a guest offset on.
type cut struct {
	formats.Disk
	from int64
}

func (d cut) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > d.from {
		return 0, errCut
	}
	return d.Disk.ReadAt(p, off)
}

// checkPlanFails reads a plan whose source breaks at its last data.
func (w WriterSpec) checkPlanFails(t *testing.T, disk *imgtest.Disk) {
	t.Helper()
	last := lastData(disk)
	if last < 0 {
		return
	}
	p, err := w.Planner.Plan(t.Context(), cut{disk, last})
	if err != nil {
		if !errors.Is(err, errCut) {
			t.Errorf("plan of a broken source: %v", err)
		}
		return // it looks at the bytes too
	}
	host, _ := p.Locate(last)
	if host < 0 {
		t.Fatalf("data at %d is not located", last)
	}
	if n, err := p.ReadAt(make([]byte, 1), host); n != 0 || !errors.Is(err, errCut) {
		t.Errorf("read a byte that the source cannot give: %d, %v, want its error", n, err)
	}
	whole := bytes.Repeat([]byte{1}, int(min(host, 5000)+1))
	if n, err := p.ReadAt(whole, host+1-int64(len(whole))); n >= len(whole) || !errors.Is(err, errCut) {
		t.Errorf("read up to a byte that the source cannot give: %d of %d, %v, want its error", n, len(whole), err)
	}
}

// lastData returns the guest offset of the last byte of data, -1 for none.
func lastData(disk *imgtest.Disk) int64 {
	for _, r := range slices.Backward(disk.Runs()) {
		if r.Kind.IsData() {
			return r.End() - 1
		}
	}
	return -1
}
