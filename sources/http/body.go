package http

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"ingest/internal/bandwidth"
	"ingest/internal/errcode"
)

// body is an answer's body that does not wait for ever.
type body struct {
	parent context.Context // the caller's
	ctx    context.Context // the request's, below parent
	cancel context.CancelCauseFunc
	r      io.ReadCloser
	stall  time.Duration
	timer  *time.Timer
	meter  *meter

	host    *host  // whose bandwidth the bytes are of
	release func() // gives the connection back to the host's budget
}

var errStall = errors.New("no byte arrived for too long")

func newBody(parent context.Context, cancel context.CancelCauseFunc, ctx context.Context, r io.ReadCloser, stall time.Duration, m *meter) *body {
	b := &body{parent: parent, ctx: ctx, cancel: cancel, r: r, stall: stall, meter: m}
	b.timer = time.AfterFunc(b.stall, func() { cancel(errStall) })
	b.timer.Stop()
	return b
}

// Read reads on, for no longer than the stall timeout. No clock runs between
// two calls, so that a reader may take any time, and so may the budgets of the context.
func (b *body) Read(p []byte) (int, error) {
	may, err := bandwidth.Admit(b.parent, len(p), b.host.budget...)
	if err != nil {
		return 0, err
	}
	n, err := b.receive(p[:may])
	bandwidth.Return(b.parent, may-n, b.host.budget...)
	return n, err
}

// receive reads what has come, or waits for it.
func (b *body) receive(p []byte) (int, error) {
	b.meter.begin()
	b.timer.Reset(b.stall)
	n, err := b.r.Read(p)
	b.timer.Stop()
	quick := b.meter.end(n, true)
	switch {
	case err == nil && !quick:
		return n, errcode.New(errcode.SourceTooSlow, "the source sends less than %d bytes a second", b.meter.min)
	case err == nil || err == io.EOF:
		return n, err
	case b.parent.Err() != nil:
		return n, b.parent.Err()
	case context.Cause(b.ctx) == errStall:
		return n, errcode.Wrap(err, errcode.SourceTooSlow, "the source sent nothing for %v", b.stall)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, passing(errcode.Wrap(err, errcode.SourceLengthMismatch, "the source ended before the length that it announced"))
	}
	return n, passing(unreachable(err))
}

// Close lets go of the answer, and of its connection unless it was read to the end.
func (b *body) Close() error {
	b.timer.Stop()
	err := b.r.Close()
	b.cancel(nil)
	b.release()
	return err
}

// meter watches that a minimum rate is kept over a series of requests, however
// they are cut, and over those that run beside each other: time counts once, and
// only while somebody waits for the server. It is safe for concurrent use.
type meter struct {
	min    int64 // bytes a second, < 0 for none
	window time.Duration

	mu      sync.Mutex
	waiting int       // calls between begin and end
	since   time.Time // up to when their time is in spent
	spent   time.Duration
	bytes   int64
}

// begin notes that somebody begins to wait for the server.
func (m *meter) begin() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == 0 {
		m.since = time.Now()
	}
	m.waiting++
}

// end notes that a wait is over and brought n bytes. The time of a wait that
// does not count, such as for a connection that did not come about, is left out
// unless somebody else waited too. It returns false at the end of a window that
// had too few bytes.
func (m *meter) end(n int, counts bool) bool {
	if m == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting--
	m.bytes += int64(n)
	if !counts {
		return true
	}
	now := time.Now()
	m.spent += now.Sub(m.since)
	m.since = now
	if m.spent < m.window || n == 0 {
		return true
	}
	if float64(m.bytes) < float64(m.min)*m.spent.Seconds() {
		// The window stays open: this may be the last read of a range, whose
		// bytes are all there, and the next range has to answer for it.
		return false
	}
	m.bytes, m.spent = 0, 0
	return true
}
