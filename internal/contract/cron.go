package contract

import (
	"slices"
	"strconv"
	"strings"

	"ingest/internal/errcode"
)

// A CronRange is a run of values, each Step apart. Both ends belong to it.
type CronRange struct{ Start, End, Step int }

// A Cron is a cron expression taken apart: a moment matches if each field has a range
// that holds its part.
type Cron struct {
	Minute, Hour, Day, Month, Weekday []CronRange // Weekday counts from 0, Sunday
}

// cronField says what a field may hold.
type cronField struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var (
	months   = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

func cronFields() []cronField {
	return []cronField{{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil}, {"month", 1, 12, months}, {"day of the week", 0, 7, weekdays}}
}

func cronShort(line string) string {
	switch line {
	case "@hourly":
		return "0 * * * *"
	case "@daily", "@midnight":
		return "0 0 * * *"
	case "@weekly":
		return "0 0 * * 0"
	case "@monthly":
		return "0 0 1 * *"
	case "@yearly", "@annually":
		return "0 0 1 1 *"
	}
	return line
}

// ParseCron reads an expression of five fields, or one of the words that stand for such.
// A field is *, a value, a range A-B, a list of these with commas, each with /STEP.
// Days of the month and of the week must both match if both are given, as the workflow
// service has it: other crons take either.
func ParseCron(line string) (Cron, error) {
	line = cronShort(strings.ToLower(strings.TrimSpace(line)))
	words := strings.Fields(line)
	fields := cronFields()
	if len(line) > 256 || len(words) != len(fields) {
		return Cron{}, badCron(line, "an expression has five fields: minute, hour, day of the month, month, day of the week")
	}
	var all [5][]CronRange
	for i, f := range fields {
		for _, part := range strings.Split(words[i], ",") {
			r, ok := f.parse(part)
			if !ok {
				return Cron{}, badCron(line, "the field "+f.name+" takes *, N, A-B and lists of these, each with /STEP, from "+strconv.Itoa(f.min)+" to "+strconv.Itoa(f.max))
			}
			all[i] = append(all[i], r)
		}
	}
	all[4] = fromSunday(all[4])
	return Cron{all[0], all[1], all[2], all[3], all[4]}, nil
}

func (f cronField) parse(part string) (CronRange, bool) {
	span, stepText, stepped := strings.Cut(part, "/")
	r := CronRange{Start: f.min, End: f.max, Step: 1}
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 || n > f.max {
			return r, false
		}
		r.Step = n
	}
	if span == "*" {
		if f.max == 7 {
			r.End = 6
		}
		return r, true
	}
	from, to, ranged := strings.Cut(span, "-")
	var ok bool
	if r.Start, ok = f.value(from); !ok {
		return r, false
	}
	switch {
	case ranged:
		if r.End, ok = f.value(to); !ok {
			return r, false
		}
	case !stepped:
		r.End = r.Start
	}
	return r, r.Start <= r.End
}

func (f cronField) value(s string) (int, bool) {
	if i := slices.Index(f.names, s); i >= 0 {
		return i + f.min, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= f.min && n <= f.max && s[0] != '+'
}

// fromSunday writes ranges that count Sunday as 7 with its other number.
func fromSunday(in []CronRange) []CronRange {
	var out []CronRange
	for _, r := range in {
		if r.End < 7 {
			out = append(out, r)
			continue
		}
		for d := r.Start; d <= r.End; d += r.Step {
			out = append(out, CronRange{d % 7, d % 7, 1})
		}
	}
	return out
}

func badCron(line, what string) error {
	return errcode.New(errcode.BadRequest, "timing.cron: %s", what).
		With(errcode.Evidence{Structure: "request", Field: "timing.cron", Value: errcode.Shown(line)})
}
