package transfer_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"ingest/formats"
	"ingest/formats/transfer"
)

// reads counts the units that are read.
type reads struct {
	formats.Disk
	n atomic.Int64
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	r.n.Add(1)
	return r.Disk.ReadAt(p, off)
}

// However slow it is to make things safe, no more is read than the window has.
func TestWindowBoundsWhatIsReadBeforeItIsSafe(t *testing.T) {
	const units, window = 40, 5
	disk := &reads{Disk: full(t, units)}
	w := transfer.NewWindow(window * transfer.UnitBytes)
	e := &transfer.Engine{Workers: 4, Window: w}
	saves := make(chan int64, units)
	var safe atomic.Int64 // units
	go func() {
		for reached := range saves {
			if over := disk.n.Load() - safe.Load(); over > window {
				t.Errorf("%d units are read and not safe, want at most %d", over, window)
			}
			safe.Store(reached / transfer.UnitBytes)
			w.Saved(reached, true)
		}
	}()
	saving := int64(0)
	err := e.Run(t.Context(), disk, 0, disk.Size(), nil, func(*transfer.Unit) error {
		if w.Unsafe() >= 2*transfer.UnitBytes && w.Reached() > saving {
			saving = w.Reached()
			w.Saving()
			saves <- saving
		}
		if over := disk.n.Load() - safe.Load(); over > window {
			t.Errorf("%d units are read and not safe, want at most %d", over, window)
		}
		return nil
	})
	close(saves)
	if err != nil || w.Reached() != units*transfer.UnitBytes {
		t.Errorf("delivered %d bytes, %v", w.Reached(), err)
	}
}

// Whoever saves nothing, or fails to, gets everything all the same.
func TestWindowNeverStandsStill(t *testing.T) {
	disk := full(t, 20)
	for _, fails := range []bool{false, true} {
		w := transfer.NewWindow(3 * transfer.UnitBytes)
		e := &transfer.Engine{Workers: 4, Window: w}
		err := e.Run(t.Context(), disk, 0, disk.Size(), nil, func(u *transfer.Unit) error {
			if fails {
				w.Saving()
				go w.Saved(w.Reached(), false)
			}
			return nil
		})
		if err != nil || w.Reached() != disk.Size() {
			t.Errorf("delivered %d bytes, %v", w.Reached(), err)
		}
	}
}

// An error ends a run that waits for its window.
func TestWindowEndsWithTheRun(t *testing.T) {
	w := transfer.NewWindow(transfer.UnitBytes)
	e := &transfer.Engine{Workers: 2, Window: w}
	gone := errors.New("gone")
	err := e.Run(t.Context(), full(t, 5), 0, 5*transfer.UnitBytes, nil, func(u *transfer.Unit) error {
		w.Saving() // and never ends
		if u.Off > 0 {
			t.Error("a unit beyond the window")
		}
		return gone
	})
	if !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}
