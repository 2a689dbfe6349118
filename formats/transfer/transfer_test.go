package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// collect runs an engine and returns what was delivered as one slice.
func collect(t *testing.T, e *transfer.Engine, d formats.Disk) []byte {
	t.Helper()
	out := make([]byte, d.Size())
	next := int64(0)
	err := e.Run(t.Context(), d, 0, d.Size(), nil, func(u *transfer.Unit) error {
		if u.Off != next || u.Len <= 0 {
			return fmt.Errorf("unit [%d, +%d) delivered after %d", u.Off, u.Len, next)
		}
		if u.Data != nil && int64(len(u.Data)) != u.Len {
			return fmt.Errorf("unit of %d bytes holds %d", u.Len, len(u.Data))
		}
		next = u.Off + u.Len
		copy(out[u.Off:], u.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != d.Size() {
		t.Fatalf("delivered up to %d of %d", next, d.Size())
	}
	return out
}

func TestDeliversEveryByteInOrder(t *testing.T) {
	for _, c := range imgtest.Cases() {
		if c.Disk.Size() > 256<<20 {
			continue
		}
		for _, workers := range []int{1, 2, 7} {
			t.Run(fmt.Sprintf("%s/%d", c.Name, workers), func(t *testing.T) {
				want := make([]byte, c.Disk.Size())
				imgtest.ReadFull(t, c.Disk, want, 0)
				got := collect(t, &transfer.Engine{Workers: workers, Memory: 1}, c.Disk)
				if !bytes.Equal(got, want) {
					t.Error("the delivered bytes differ")
				}
			})
		}
	}
}

func TestDigestIsThatOfTheBytes(t *testing.T) {
	for _, c := range imgtest.Cases() {
		if c.Disk.Size() > 256<<20 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			want := content.New(c.Disk.Size())
			for off := int64(0); off < c.Disk.Size(); off += content.BlockBytes {
				block := make([]byte, min(content.BlockBytes, c.Disk.Size()-off))
				imgtest.ReadFull(t, c.Disk, block, off)
				want.Add(content.LeafOf(block))
			}
			e := &transfer.Engine{Digest: content.New(c.Disk.Size())}
			collect(t, e, c.Disk)
			got, err := e.Digest.Sum()
			if err != nil {
				t.Fatal(err)
			}
			if w, _ := want.Sum(); got != w {
				t.Errorf("digest %s, want %s", got, w)
			}
		})
	}
}

func TestResumesAtAnyUnit(t *testing.T) {
	d := imgtest.Cases()[len(imgtest.Cases())-1].Disk
	for _, c := range imgtest.Cases() {
		if s := c.Disk.Size(); s > 4*transfer.UnitBytes && s < 256<<20 {
			d = c.Disk
		}
	}
	whole := &transfer.Engine{Digest: content.New(d.Size())}
	collect(t, whole, d)
	want, _ := whole.Digest.Sum()
	for from := int64(0); from < d.Size(); from += transfer.UnitBytes {
		h := content.New(d.Size())
		first := &transfer.Engine{Digest: h}
		if err := first.Run(t.Context(), d, 0, from, nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := first.Run(t.Context(), d, from, d.Size(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if got, _ := h.Sum(); got != want {
			t.Fatalf("resumed at %d: %s, want %s", from, got, want)
		}
	}
	bad := &transfer.Engine{Digest: content.New(d.Size())}
	if err := bad.Run(t.Context(), d, transfer.UnitBytes, d.Size(), nil, nil); err == nil {
		t.Error("a digest that has not seen the first unit is accepted")
	}
}

// failing is a disk whose reads do what the test says.
type failing struct {
	formats.Disk
	read func(off int64) error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if err := f.read(off); err != nil {
		return 0, err
	}
	return f.Disk.ReadAt(p, off)
}

func full(t *testing.T, units int64) *imgtest.Disk {
	t.Helper()
	size := units * transfer.UnitBytes
	return imgtest.New(size, 1, imgtest.Run{Off: 0, Len: size, Kind: imgtest.Noise})
}

func TestFirstErrorInOrderEndsTheRun(t *testing.T) {
	boom := errors.New("disk on fire")
	d := &failing{Disk: full(t, 20), read: func(off int64) error {
		if off >= 7*transfer.UnitBytes {
			return boom
		}
		return nil
	}}
	var last int64
	e := &transfer.Engine{Progress: func(off int64) { last = off }}
	if err := e.Run(t.Context(), d, 0, d.Size(), nil, nil); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	if last != 7*transfer.UnitBytes {
		t.Errorf("delivered up to %d, want all before the error", last)
	}
}

func TestPanicOfAReaderIsAnError(t *testing.T) {
	d := &failing{Disk: full(t, 3), read: func(int64) error { panic("index out of range") }}
	err := (&transfer.Engine{}).Run(t.Context(), d, 0, d.Size(), nil, nil)
	if errcode.Of(err) != errcode.ParserCrash {
		t.Errorf("got %v, want %s", err, errcode.ParserCrash)
	}
}

// brokenMap is a disk whose extents cannot be asked for.
type brokenMap struct{ formats.Disk }

func (brokenMap) ExtentAt(int64) (formats.Extent, error) { panic("index out of range") }

func TestPanicOfTheExtentsIsAnError(t *testing.T) {
	d := brokenMap{full(t, 3)}
	err := (&transfer.Engine{}).Run(t.Context(), d, 0, d.Size(), nil, nil)
	if errcode.Of(err) != errcode.ParserCrash {
		t.Errorf("got %v, want %s", err, errcode.ParserCrash)
	}
}

// Whoever delivers zeros hashes them, which for terabytes takes minutes: none
// of the units may be so long that a cancel waits for it.
func TestLongHolesCanBeCancelled(t *testing.T) {
	d := imgtest.New(8<<40, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var longest int64
	err := (&transfer.Engine{}).Run(ctx, d, 0, d.Size(), nil, func(u *transfer.Unit) error {
		longest = max(longest, u.Len)
		if u.Off > 0 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || longest > 1<<30 {
		t.Errorf("got %v after units of up to %d bytes", err, longest)
	}
}

func TestCancelStopsAndLeavesNobodyBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	d := full(t, 200)
	var n atomic.Int64
	err := (&transfer.Engine{Workers: 4}).Run(ctx, d, 0, d.Size(), nil, func(*transfer.Unit) error {
		if n.Add(1) == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancel", err)
	}
	if got := n.Load(); got > 50 {
		t.Errorf("%d units delivered after the cancel", got)
	}
	// Who has said that it is done may still be on its way out.
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestMemoryBoundsWhatIsInFlight(t *testing.T) {
	d := full(t, 64)
	var reading, most atomic.Int64
	slow := &failing{Disk: d, read: func(int64) error {
		if now := reading.Add(1); now > most.Load() {
			most.Store(now)
		}
		return nil
	}}
	delivered := 0
	e := &transfer.Engine{Workers: 16, Memory: 4 * 2 * transfer.UnitBytes}
	err := e.Run(t.Context(), slow, 0, d.Size(), nil, func(*transfer.Unit) error {
		delivered++
		reading.Add(-1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() > 4 {
		t.Errorf("%d units in flight, the budget holds 4", most.Load())
	}
	if delivered != 64 {
		t.Errorf("%d units delivered", delivered)
	}
}

func TestHugeHolesCostNothing(t *testing.T) {
	d := imgtest.New(64<<40, 1, imgtest.Run{Off: 64<<40 - 512, Len: 512, Kind: imgtest.Text})
	units := 0
	e := &transfer.Engine{Digest: content.New(d.Size())}
	if err := e.Run(t.Context(), d, 0, d.Size(), nil, func(*transfer.Unit) error { units++; return nil }); err != nil {
		t.Fatal(err)
	}
	if units > 64<<10+1 {
		t.Errorf("%d units for one block of data", units)
	}
}

func TestPieces(t *testing.T) {
	p := make([]byte, 10)
	p[0], p[5], p[6] = 1, 1, 1
	got := transfer.Pieces(nil, p, 2)
	want := []transfer.Piece{{Start: 0, End: 2}, {Start: 4, End: 8}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := transfer.Pieces(nil, make([]byte, 9), 4); len(got) != 0 {
		t.Errorf("zeros yield %v", got)
	}
	if got := transfer.Pieces(nil, []byte{0, 0, 0, 0, 1}, 4); fmt.Sprint(got) != "[{4 5}]" {
		t.Errorf("a short last grain yields %v", got)
	}
}

func BenchmarkEngineDigest(b *testing.B) {
	size := int64(256 << 20)
	d := imgtest.New(size, 1, imgtest.Run{Off: 0, Len: size, Kind: imgtest.Noise})
	mem := make([]byte, size)
	imgtest.ReadFull(b, d, mem, 0)
	b.SetBytes(size)
	for b.Loop() {
		e := &transfer.Engine{Digest: content.New(size)}
		if err := e.Run(b.Context(), memDisk{bytes.NewReader(mem), size}, 0, size, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

type memDisk struct {
	*bytes.Reader
	size int64
}

func (m memDisk) Close() error       { return nil }
func (m memDisk) Size() int64        { return m.size }
func (m memDisk) Info() formats.Info { return formats.Info{} }
func (m memDisk) ExtentAt(int64) (formats.Extent, error) {
	return formats.Extent{Len: m.size, HostOff: 0}, nil
}
