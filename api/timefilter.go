package api

import (
	"strings"
	"time"

	"ingest/metadata"
)

// timeLayouts are the ISO 8601 forms that filters take; without a zone, UTC.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02"}

// timeFilter reads "gt:2026-01-31T12:00:00Z"; without an operator it means eq.
// Times are compared by the second, as they are shown.
func timeFilter(field, value string) (func(time.Time) bool, error) {
	op, text := "eq", value
	if head, tail, ok := strings.Cut(value, ":"); ok && strings.Trim(head, "abcdefghijklmnopqrstuvwxyz") == "" {
		op, text = head, tail
	}
	var want time.Time
	err := error(nil)
	for _, layout := range timeLayouts {
		if want, err = time.Parse(layout, text); err == nil {
			break
		}
	}
	if err != nil {
		return nil, badField(field, value, "expected an ISO 8601 time, such as gte:2026-01-31T12:00:00Z")
	}
	holds, ok := map[string]func(c int) bool{
		"gt": func(c int) bool { return c > 0 }, "gte": func(c int) bool { return c >= 0 },
		"lt": func(c int) bool { return c < 0 }, "lte": func(c int) bool { return c <= 0 },
		"eq": func(c int) bool { return c == 0 }, "neq": func(c int) bool { return c != 0 },
	}[op]
	if !ok {
		return nil, badField(field, value, "%q is not one of gt, gte, lt, lte, eq, neq", op)
	}
	return func(t time.Time) bool { return holds(t.Truncate(time.Second).Compare(want)) }, nil
}

func timeOf(m metadata.Image, field string) time.Time {
	if field == "updated_at" {
		return m.UpdatedAt
	}
	return m.CreatedAt
}
