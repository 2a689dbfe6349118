package timewindow

import (
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a server may have no zones of its own

	"ingest/internal/errcode"
)

// Bounds of what is said.
const (
	maxText = 200
	// MaxWindows is how many windows a thing may have.
	MaxWindows = 32
)

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// A Window is open for some time of some days.
type Window struct {
	days     [7]bool
	from, to int // minutes of the day; to may be past midnight
	zone     *time.Location
}

// Windows are open when one of them is; without any, they always are.
type Windows []Window

// Parse reads windows. errcode.BadRequest names the one that is wrong.
func Parse(texts []string) (Windows, error) {
	if len(texts) > MaxWindows {
		return nil, bad("", "there are more than %d windows", MaxWindows)
	}
	out := make(Windows, 0, len(texts))
	for _, text := range texts {
		w, err := parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// parse reads "[DAYS ]HH:MM-HH:MM[ ZONE]".
func parse(text string) (Window, error) {
	w := Window{zone: time.UTC, days: [7]bool{true, true, true, true, true, true, true}}
	words := strings.Fields(text)
	if len(text) > maxText || len(words) == 0 || len(words) > 3 {
		return w, bad(text, "a window is written as 22:00-06:00 Europe/Berlin, or as Mon-Fri 22:00-06:00 Europe/Berlin")
	}
	if !strings.Contains(words[0], ":") {
		days, err := parseDays(text, words[0])
		if err != nil {
			return w, err
		}
		w.days, words = days, words[1:]
	}
	if len(words) == 0 || len(words) > 2 {
		return w, bad(text, "a window is written as 22:00-06:00 Europe/Berlin, or as Mon-Fri 22:00-06:00 Europe/Berlin")
	}
	from, to, ok := strings.Cut(words[0], "-")
	a, okA := minutes(from)
	b, okB := minutes(to)
	if !ok || !okA || !okB || a == 24*60 || a == b {
		return w, bad(text, "the hours are two different times from 00:00 to 24:00, as in 22:00-06:00")
	}
	if b < a {
		b += 24 * 60
	}
	w.from, w.to = a, b
	if len(words) == 2 {
		zone, err := time.LoadLocation(words[1])
		if err != nil || words[1] == "Local" {
			return w, bad(text, "%q is no time zone of the IANA database, such as Europe/Berlin", words[1])
		}
		w.zone = zone
	}
	return w, nil
}

// parseDays reads "Mon-Fri,Sun".
func parseDays(text, list string) (out [7]bool, err error) {
	for _, part := range strings.Split(strings.ToLower(list), ",") {
		first, last, several := strings.Cut(part, "-")
		a, b := weekday(first), weekday(last)
		if !several {
			b = a
		}
		if a < 0 || b < 0 {
			return out, bad(text, "%q is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a range of them", part)
		}
		for d := a; ; d = (d + 1) % 7 {
			out[d] = true
			if d == b {
				break
			}
		}
	}
	return out, nil
}

func weekday(s string) int {
	for i, d := range weekdays {
		if s == d {
			return i
		}
	}
	return -1
}

// minutes reads HH:MM.
func minutes(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hours, errH := strconv.Atoi(h)
	mins, errM := strconv.Atoi(m)
	if !ok || errH != nil || errM != nil || len(h) != 2 || len(m) != 2 || hours < 0 || mins < 0 || mins > 59 || hours*60+mins > 24*60 {
		return 0, false
	}
	return hours*60 + mins, true
}

// Open reports whether work may begin at the moment, and when that changes: zero if it
// never does.
func (ws Windows) Open(now time.Time) (open bool, until time.Time) {
	if len(ws) == 0 {
		return true, time.Time{}
	}
	for _, w := range ws {
		begin, end := w.around(now)
		switch {
		case !begin.After(now) && now.Before(end):
			if !open || end.After(until) {
				until = end
			}
			open = true
		case !open && (until.IsZero() || begin.Before(until)):
			until = begin
		}
	}
	return open, until
}

// around is the opening that the moment is in, or the next one.
func (w Window) around(now time.Time) (begin, end time.Time) {
	local := now.In(w.zone)
	for day := -1; day <= 8; day++ {
		y, m, d := local.Date()
		noon := time.Date(y, m, d+day, 12, 0, 0, 0, w.zone)
		if !w.days[noon.Weekday()] {
			continue
		}
		begin, end = w.at(noon, w.from), w.at(noon, w.to)
		if now.Before(end) && begin.Before(end) {
			return begin, end
		}
	}
	return begin, end // not reached: a window opens within a week
}

// at is the moment at which the clocks show so many minutes after the day's midnight. A
// time that they skip is the moment at which they skip it; of two it is the first.
func (w Window) at(noon time.Time, mins int) time.Time {
	y, m, d := noon.Date()
	t := time.Date(y, m, d, 0, mins, 0, 0, w.zone)
	day := mins / (24 * 60)
	shows := t.Hour()*60 + t.Minute()
	if want := mins - day*24*60; shows != want {
		begin, end := t.ZoneBounds()
		// Go writes a skipped time by the offset before or behind the change.
		if shows > want && !begin.IsZero() && t.Sub(begin) < 3*time.Hour {
			return begin
		}
		if !end.IsZero() {
			return end
		}
	}
	if begin, _ := t.ZoneBounds(); !begin.IsZero() {
		_, now := t.Zone()
		_, was := begin.Add(-time.Second).Zone()
		if earlier := t.Add(time.Duration(now-was) * time.Second); was > now && earlier.Before(begin) {
			return earlier
		}
	}
	return t
}

func bad(text, format string, args ...any) error {
	return errcode.New(errcode.BadRequest, format, args...).With(errcode.Evidence{Structure: "bulk", Field: "windows", Value: text})
}
