package http

import (
	"testing"
	"time"
)

// run feeds a pace with a server that answers n requests at one time with rate(n)
// bytes a second, for some measurements, and returns the limits it went through.
func runPace(p *pace, measurements int, rate func(n int) float64) []int {
	now := time.Unix(1, 0)
	var limits []int
	for range measurements {
		p.begun(now, p.limit)
		now = now.Add(paceTime)
		for n := int64(rate(p.limit) * paceTime.Seconds()); ; now = now.Add(paceTime) {
			p.got(now, n)
			if p.bytes == 0 {
				break
			}
		}
		limits = append(limits, p.limit)
	}
	return limits
}

func TestPaceFindsWhatTheServerAnswersBest(t *testing.T) {
	for _, tt := range []struct {
		name      string
		rate      func(n int) float64
		low, high int
	}{
		{"each request adds", func(n int) float64 { return 50e6 * float64(n) }, 16, 16},
		{"no more than one connection's worth", func(int) float64 { return 100e6 }, 2, 3},
		{"six fill the link", func(n int) float64 { return 50e6 * float64(min(n, 6)) }, 4, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPace(16)
			limits := runPace(&p, 60, tt.rate)
			if p.limit < tt.low || p.limit > tt.high {
				t.Errorf("limit %d, want %d to %d: %v", p.limit, tt.low, tt.high, limits)
			}
		})
	}
}

func TestPaceHalvesAndStaysBelowWhatWasRefused(t *testing.T) {
	p := newPace(16)
	more := func(n int) float64 { return 50e6 * float64(n) }
	runPace(&p, 10, more)
	if p.limit != 16 {
		t.Fatalf("limit %d at first", p.limit)
	}
	now := time.Unix(1000, 0)
	begun := now.Add(-time.Second)
	for range 16 { // all that were in flight
		if !p.refused(now, begun, true) {
			t.Fatal("there was something to halve")
		}
	}
	if p.limit != 8 {
		t.Fatalf("limit %d after one burst of refusals, want 8", p.limit)
	}
	p.ceilingTo = time.Unix(1e6, 0)
	runPace(&p, 200, more)
	if p.limit != 15 {
		t.Errorf("limit %d, want 15: 16 was refused a moment ago", p.limit)
	}
	for want := 7; want > 0; want /= 2 {
		now = now.Add(time.Second)
		p.refused(now, now, false)
		if p.limit != want {
			t.Fatalf("limit %d, want %d", p.limit, want)
		}
	}
	if now = now.Add(time.Second); p.refused(now, now, true) {
		t.Error("a single request can be halved")
	}
}
