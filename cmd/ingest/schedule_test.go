package main

import (
	"testing"

	"ingest/internal/contract"
)

func TestScheduleCreateNeedsATrustAndATime(t *testing.T) {
	m := newMachine(t, idle)
	m.ingest("schedule", "create", "golden", "https://h/a.img", "--every", "1h").want(t, 2, "", `.*--trust must be chosen.*`)
	m.ingest("schedule", "create", "golden", "https://h/a.img", "--trust", "none").want(t, 2, "", `.*--cron or --every.*`)
	m.ingest("schedule", "create", "golden", "https://h/a.img", "--trust", "none", "--every", "90500ms").want(t, 2, "", `.*whole seconds.*`)
	m.ingest("schedule", "show", "nobody").want(t, 1, "", `error: NOT_FOUND .*`)
	m.ingest("schedule", "backfill", "nobody", "--from", "yesterday").want(t, 1, "", `error: NOT_FOUND .*`)
}

func TestTimingOf(t *testing.T) {
	for want, timing := range map[string]contract.Timing{
		"every 6h0m0s, up to 30m0s later":      {EverySeconds: 21600, JitterSeconds: 1800},
		"30 4 * * *; 0 12 * * 0 Europe/Berlin": {Cron: []string{"30 4 * * *", "0 12 * * 0"}, TimeZone: "Europe/Berlin"},
	} {
		if got := timingOf(timing); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
