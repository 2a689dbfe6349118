package timewindow

import (
	"testing"
	"time"

	"ingest/internal/errcode"
)

func TestOpen(t *testing.T) {
	at := func(s string) time.Time {
		out, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		name    string
		windows []string
		now     string
		open    bool
		until   string
	}{
		{"always", nil, "2026-01-05T12:00:00Z", true, ""},
		{"before a night", []string{"22:00-06:00 Europe/Berlin"}, "2026-01-05T20:59:59Z", false, "2026-01-05T21:00:00Z"},
		{"a night begins", []string{"22:00-06:00 Europe/Berlin"}, "2026-01-05T21:00:00Z", true, "2026-01-06T05:00:00Z"},
		{"behind midnight", []string{"22:00-06:00 Europe/Berlin"}, "2026-01-06T04:59:59Z", true, "2026-01-06T05:00:00Z"},
		{"a night ends", []string{"22:00-06:00 Europe/Berlin"}, "2026-01-06T05:00:00Z", false, "2026-01-06T21:00:00Z"},
		{"in summer", []string{"22:00-06:00 Europe/Berlin"}, "2026-07-05T20:00:00Z", true, "2026-07-06T04:00:00Z"},
		{"the night in which clocks go forward", []string{"22:00-06:00 Europe/Berlin"}, "2026-03-28T21:30:00Z", true, "2026-03-29T04:00:00Z"},
		{"the night in which clocks go back", []string{"22:00-06:00 Europe/Berlin"}, "2026-10-24T20:30:00Z", true, "2026-10-25T05:00:00Z"},
		{"opens at a time that is skipped", []string{"02:30-05:00 Europe/Berlin"}, "2026-03-29T00:30:00Z", false, "2026-03-29T01:00:00Z"},
		{"closes at a time that is skipped", []string{"00:30-02:30 Europe/Berlin"}, "2026-03-29T00:30:00Z", true, "2026-03-29T01:00:00Z"},
		{"opens at a time that comes twice", []string{"02:30-05:00 Europe/Berlin"}, "2026-10-25T00:00:00Z", false, "2026-10-25T00:30:00Z"},
		{"on a weekend", []string{"Sat,Sun 00:00-24:00 UTC"}, "2026-01-09T12:00:00Z", false, "2026-01-10T00:00:00Z"},
		{"the morning after its day", []string{"Fri 22:00-06:00"}, "2026-01-10T05:00:00Z", true, "2026-01-10T06:00:00Z"},
		{"on no day of it", []string{"Fri 22:00-06:00"}, "2026-01-10T23:00:00Z", false, "2026-01-16T22:00:00Z"},
		{"a range of days over a week's end", []string{"Sat-Mon 10:00-11:00"}, "2026-01-11T10:30:00Z", true, "2026-01-11T11:00:00Z"},
		{"the one of two that opens first", []string{"20:00-21:00", "14:00-15:00"}, "2026-01-05T12:00:00Z", false, "2026-01-05T14:00:00Z"},
		{"the one of two that closes last", []string{"11:00-13:00", "10:00-18:00"}, "2026-01-05T12:00:00Z", true, "2026-01-05T18:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ws, err := Parse(c.windows)
			if err != nil {
				t.Fatal(err)
			}
			open, until := ws.Open(at(c.now))
			var want time.Time
			if c.until != "" {
				want = at(c.until)
			}
			if open != c.open || !until.Equal(want) {
				t.Errorf("open %v until %v, want %v until %v", open, until.UTC(), c.open, want)
			}
		})
	}
}

func TestRefusedWindows(t *testing.T) {
	for _, text := range []string{"", "22:00", "22-06", "22:00-22:00", "24:00-06:00", "25:00-06:00", "2:00-3:00", "22:00-06:60",
		"22:00-06:00 Berlin", "22:00-06:00 Local", "22:00-06:00 ../../etc/passwd", "Fry 22:00-06:00", "Mon 22:00-06:00 UTC more", "Mon", "-1:00-06:00"} {
		if _, err := Parse([]string{text}); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%q: %v", text, err)
		}
	}
}
