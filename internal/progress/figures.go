package progress

import (
	"fmt"
	"strings"
	"time"
)

// Figures say how far one stage is.
type Figures struct {
	Done    int64   // bytes
	Total   int64   // bytes, <= 0 if unknown
	Rate    float64 // bytes a second, 0 if unknown
	ETA     float64 // seconds, < 0 if unknown
	Attempt int32   // of the stage, from 1; 0 if unknown
	Message string
}

// String writes the figures in one line without the stage's name.
func (f Figures) String() string {
	var parts []string
	if f.Total > 0 {
		// Rounded down: 100 % is shown when everything is done, not before.
		parts = append(parts, fmt.Sprintf("%3d%%", int64(100*f.fraction())))
		parts = append(parts, Bytes(f.Done)+" of "+Bytes(f.Total))
	} else if f.Done > 0 {
		parts = append(parts, Bytes(f.Done))
	}
	if r := Rate(f.Rate); r != "" {
		parts = append(parts, r)
	}
	if f.ETA >= 0 && f.Total > 0 && f.Done < f.Total {
		parts = append(parts, "ETA "+Duration(time.Duration(f.ETA*float64(time.Second))))
	}
	if f.Attempt > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d", f.Attempt))
	}
	if f.Message != "" {
		parts = append(parts, f.Message)
	}
	return strings.Join(parts, "  ")
}

func (f Figures) fraction() float64 {
	if f.Total <= 0 || f.Done <= 0 {
		return 0
	}
	return min(1, float64(f.Done)/float64(f.Total))
}

// rateWindow is how far back the rate looks: long enough to be calm, short
// enough to show a stall.
const rateWindow = 5 * time.Second

// A meter works out the rate of the last seconds.
type meter struct {
	samples []sample // ascending in time; the first is at or before the window
}

type sample struct {
	at   time.Time
	done int64
}

// add takes a reading and returns the rate over the window, 0 until known.
func (m *meter) add(at time.Time, done int64) float64 {
	n := len(m.samples)
	if n > 0 && done < m.samples[n-1].done {
		m.samples, n = m.samples[:0], 0 // the work began again
	}
	// Readings can come thousands of times a second; a few a window do.
	if n > 1 && at.Sub(m.samples[n-2].at) < rateWindow/50 {
		m.samples[n-1] = sample{at, done}
	} else {
		m.samples = append(m.samples, sample{at, done})
	}
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	span := at.Sub(first.at).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(done-first.done) / span
}
