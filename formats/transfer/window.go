package transfer

import (
	"context"
	"sync"
)

// A Window bounds how much data a run takes in before what it made of it is safe:
// what would be read and written once more if the process died now. The owner of the
// output says from time to time what is safe; the run waits when it is too far ahead.
// Only units that are read count: known zeros cost nothing.
//
// A Window is of one run.
type Window struct {
	limit int64

	mu       sync.Mutex
	moved    sync.Cond
	admitted int64 // bytes of the units that are read, or will be at once
	reached  int64 // of those up to the one that is being delivered
	done     int64 // of those that have been delivered
	safe     int64 // of those that need not be read again
	saving   int   // saves that are being made
}

// NewWindow returns a window of limit bytes.
func NewWindow(limit int64) *Window {
	w := &Window{limit: limit}
	w.moved.L = &w.mu
	return w
}

// Reached returns how many bytes of data have been delivered, with the unit that is
// being delivered. A save of that state says it to Saved.
func (w *Window) Reached() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached
}

// Unsafe returns how many of the delivered bytes are not safe.
func (w *Window) Unsafe() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached - w.safe
}

// Saving says that a save has begun, which ends with Saved.
func (w *Window) Saving() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saving++
}

// Saved ends a save: what had been reached is safe, or nothing more if ok is false.
func (w *Window) Saved(reached int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saving--
	if ok {
		w.safe = max(w.safe, reached)
	}
	w.moved.Broadcast()
}

// admit waits until n more bytes may be read, false if the context has ended.
func (w *Window) admit(ctx context.Context, n int64) bool {
	if w == nil {
		return ctx.Err() == nil
	}
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.moved.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.admitted+n-w.safe > w.limit {
		if ctx.Err() != nil {
			return false
		}
		// When everything is delivered and nobody saves it, nobody ever will
		// unless more comes.
		if w.saving == 0 && w.done == w.admitted {
			break
		}
		w.moved.Wait()
	}
	w.admitted += n
	return ctx.Err() == nil
}

// delivering notes that a unit of n bytes is being delivered.
func (w *Window) delivering(n int64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached += n
}

// delivered notes that it has been.
func (w *Window) delivered() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = w.reached
	w.moved.Broadcast()
}
