package activities

import "time"

// rateWindow is how far back the rate looks: long enough to be calm, short
// enough to show a stall.
const rateWindow = 10 * time.Second

// A meter works out how fast bytes come from samples of how many there are.
type meter struct {
	samples []sample // ascending in time; all but the first within the window
}

type sample struct {
	at    time.Time
	bytes int64
}

// add takes a sample. The first one counts as the start: what an earlier
// attempt did is no part of the rate.
func (m *meter) add(at time.Time, bytes int64) {
	if n := len(m.samples); n > 0 && bytes < m.samples[n-1].bytes {
		m.samples = m.samples[:0] // a second pass begins from the front
	}
	m.samples = append(m.samples, sample{at, bytes})
	keep := 0
	for keep < len(m.samples)-2 && at.Sub(m.samples[keep+1].at) >= rateWindow {
		keep++
	}
	m.samples = append(m.samples[:0], m.samples[keep:]...)
}

// rate returns bytes a second, 0 while it is not known.
func (m *meter) rate() float64 {
	n := len(m.samples)
	if n < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[n-1]
	span := last.at.Sub(first.at).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(last.bytes-first.bytes) / span
}

// eta returns the seconds that are left, -1 if unknown.
func eta(done, total int64, rate float64) float64 {
	switch {
	case total < 0:
		return -1
	case done >= total:
		return 0
	case rate <= 0:
		return -1
	}
	return float64(total-done) / rate
}
