package http

import "time"

// What a pace goes by.
const (
	// startParallel is how many ranges of a source are asked for at first.
	startParallel = 2
	// paceBytes and paceTime are what a rate must be measured over at least.
	paceBytes = 2 << 20
	paceTime  = 100 * time.Millisecond
	// gainFast and gainSlow are by how much the rate must grow for more requests at
	// one time to be worth it: while they double, and while they grow by one.
	gainFast, gainSlow = 1.15, 1.02
	// holdPaces is how many measurements pass before one more request is tried
	// again after it brought nothing.
	holdPaces = 16
	// ceilingTime is for how long a number of requests that a server refused is
	// not tried again.
	ceilingTime = 30 * time.Second
)

// A pace finds out how many requests at one time a server answers best: it doubles
// them while the throughput grows, then adds one at a time and takes it back where
// that brings nothing (additive increase), and halves them when the server refuses
// or breaks connections (multiplicative decrease). It is not safe for concurrent
// use.
type pace struct {
	limit, max int
	grown      bool // the doubling is over
	raised     bool // the limit is higher than the one of rate
	hold       int  // measurements until the limit is raised again
	rate       float64

	since     time.Time // begin of this measurement
	bytes     int64
	answers   int
	full      bool // all that was allowed was used in it
	cut       time.Time
	ceiling   int // 0 for none
	ceilingTo time.Time
}

func newPace(most int) pace {
	return pace{limit: min(startParallel, most), max: most}
}

// begun notes that a request is under way, the busy-th at one time.
func (p *pace) begun(now time.Time, busy int) {
	if p.since.IsZero() {
		p.since = now
	}
	p.full = p.full || busy >= p.limit
}

// idle notes that no request is under way: the time until the next does not count.
func (p *pace) idle() { p.since, p.bytes, p.answers, p.full = time.Time{}, 0, 0, false }

// got notes n bytes that a request has brought, and thinks the limit over at the
// end of a measurement.
func (p *pace) got(now time.Time, n int64) {
	p.bytes += n
	p.answers++
	// Requests that were begun together end together: fewer answers than requests
	// would tell one burst from another, and no rate.
	least := p.limit
	if p.grown {
		least = 2 * p.limit
	}
	took := now.Sub(p.since)
	if p.since.IsZero() || p.bytes < paceBytes || took < paceTime || p.answers < least {
		return
	}
	rate, full := float64(p.bytes)/took.Seconds(), p.full
	p.since, p.bytes, p.answers, p.full = now, 0, 0, false
	if full {
		p.measured(now, rate)
	}
}

// measured decides by a rate at which the limit was used to the full.
func (p *pace) measured(now time.Time, rate float64) {
	before := p.rate
	switch {
	case !p.grown && rate >= before*gainFast:
		p.rate = rate
		p.raised = p.raise(now, p.limit*2)
		p.grown = !p.raised
	case !p.grown:
		// The last doubling was for nothing.
		p.grown, p.raised, p.hold = true, false, holdPaces
		p.limit = max(p.limit/2, min(startParallel, p.max))
	case p.raised && rate < before*gainSlow:
		p.raised, p.hold = false, holdPaces
		p.limit = max(p.limit-1, 1)
	case p.hold > 0:
		p.hold--
		p.raised = false
		p.rate = rate
	default:
		p.rate = rate
		p.raised = p.raise(now, p.limit+1)
	}
}

// raise sets a higher limit, as far as it may be.
func (p *pace) raise(now time.Time, limit int) bool {
	limit = min(limit, p.max)
	if p.ceiling > 0 && now.Before(p.ceilingTo) {
		limit = min(limit, p.ceiling)
	}
	raised := limit > p.limit
	p.limit = max(p.limit, limit)
	return raised
}

// refused halves the limit because of a request that was begun at a moment. What
// failed together counts once. It reports whether there was anything to halve.
func (p *pace) refused(now, begun time.Time, throttled bool) bool {
	if begun.Before(p.cut) {
		return true
	}
	if throttled {
		p.ceiling, p.ceilingTo = max(p.limit-1, 1), now.Add(ceilingTime)
	}
	p.cut = now
	p.grown, p.raised, p.hold = true, false, holdPaces
	could := p.limit > 1
	p.limit = max(p.limit/2, 1)
	return could
}
