package exporttest

import (
	"io"
	"net/http"
	"slices"
	"sync"

	"ingest/internal/errcode"
)

// A Fault is what a server, or the way to it, does wrong.
type Fault int

// The faults. They meet requests that write, and no others.
const (
	None      Fault = iota
	Busy            // it answers with 503
	Broken          // the connection breaks in the middle of the request
	Lost            // the request is done, and its answer is lost
	Forbidden       // it answers with 403
)

// Troubles are the faults of a server that stands behind a proxy.
type Troubles struct {
	mu    sync.Mutex
	fault Fault
	skip  int
	times int
}

// Inject is for Fixture.Inject.
func (t *Troubles) Inject(fault Fault, skip, times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault, t.skip, t.times = fault, skip, times
}

// strikes takes one fault of the kind, if the request writes.
func (t *Troubles) strikes(r *http.Request, kinds ...Fault) (Fault, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Method != http.MethodPut && r.Method != http.MethodPost || t.times == 0 {
		return None, false
	}
	if !slices.Contains(kinds, t.fault) {
		return None, false
	}
	if t.skip > 0 {
		t.skip--
		return None, false
	}
	t.times--
	return t.fault, true
}

// Before answers a request in the place of the server, or returns true.
func (t *Troubles) Before(w http.ResponseWriter, r *http.Request) bool {
	fault, strikes := t.strikes(r, Busy, Broken, Forbidden)
	if !strikes {
		return true
	}
	switch fault {
	case Busy:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Forbidden:
		w.WriteHeader(http.StatusForbidden)
	default:
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	}
	return false
}

// Lose reports whether the answer to a request that was done is lost.
func (t *Troubles) Lose(r *http.Request) bool {
	_, strikes := t.strikes(r, Lost)
	return strikes
}

// faulty sends small and large files past a fault, and checks how that ends, that
// nothing is seen of them meanwhile, and that the next attempt is as good as any.
func (f *fixture) faulty(fault Fault, times int, want func(err error)) {
	if f.Inject == nil {
		return
	}
	for _, n := range []int{f.Part / 2, 3*f.Part + 1} {
		p := Content(n, 20)
		f.Inject(fault, 0, times)
		err := f.send(f.Context(), p, nil)
		f.Inject(None, 0, 0)
		if want(err); err != nil {
			f.holdsNothing()
			f.sent(p)
		}
		f.holds(p)
		f.tidy()
		f.Place(nil)
		*f = *f.other()
	}
}

func testBusy(f *fixture) {
	f.faulty(Busy, 1000, func(err error) { f.transient(err) })
	f.faulty(Busy, 1, func(err error) {
		if err != nil {
			f.transient(err)
		}
	})
}

func testBroken(f *fixture) {
	f.faulty(Broken, 1000, func(err error) { f.transient(err) })
	f.faulty(Broken, 1, func(err error) {
		if err != nil {
			f.transient(err)
		}
	})
}

// transient checks that an error is one behind which the task is tried again.
func (f *fixture) transient(err error) {
	f.Helper()
	if f.refused(err, errcode.DestinationUnreachable); !errcode.Lookup(errcode.Of(err)).Retryable {
		f.Errorf("%v is the end of it", err)
	}
}

func testForbidden(f *fixture) {
	f.faulty(Forbidden, 1000, func(err error) { f.refused(err, errcode.DestinationAuth) })
}

// testLost loses one answer after the other: a task knows its own work. Who is blind knows
// it not, and says that something is there.
func testLost(f *fixture) {
	if f.Inject == nil {
		return
	}
	for _, c := range []struct{ size, skip, times int }{
		{f.Part / 2, 0, 1}, {f.Part / 2, 0, 3},
		// The begin, four parts and the end of an object, and the end with all repetitions.
		{3*f.Part + 1, 0, 1}, {3*f.Part + 1, 1, 1}, {3*f.Part + 1, 4, 1}, {3*f.Part + 1, 5, 1}, {3*f.Part + 1, 5, 3}, {3*f.Part + 1, 1, 100},
	} {
		p := Content(c.size, 21)
		f.Inject(Lost, c.skip, c.times)
		err := f.send(f.Context(), p, nil)
		f.Inject(None, 0, 0)
		switch {
		case err == nil:
		case f.Blind:
			f.transient(err)
			f.refused(f.send(f.Context(), p, nil), errcode.DestinationExist)
		default:
			f.transient(err)
			f.sent(p)
		}
		f.holds(p)
		f.tidy()
		f.Place(nil)
		*f = *f.other()
	}
}
