package api

import (
	"strings"
	"time"

	"ingest/metadata"
)

// timeLayouts are the ISO 8601 forms that filters take; without a zone, UTC.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02"}

// timeRange reads "gt:2026-01-31T12:00:00Z"; without an operator it means eq.
// Times are compared by the second, as they are shown.
func timeRange(field, value string) (metadata.Range, error) {
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
		return metadata.Range{}, badField(field, value, "expected an ISO 8601 time, such as gte:2026-01-31T12:00:00Z")
	}
	r := metadata.Range{Field: metadata.ImageField(field)}
	second := want.UTC().Truncate(time.Second)
	first, last := second.UnixMicro(), second.Add(time.Second).UnixMicro()-1
	before, after := first-1, last+1
	switch op {
	case "gt":
		r.Min = &after
	case "gte":
		r.Min = &first
	case "lt":
		r.Max = &before
	case "lte":
		r.Max = &last
	case "eq", "neq":
		r.Min, r.Max, r.Not = &first, &last, op == "neq"
	default:
		return r, badField(field, value, "%q is not one of gt, gte, lt, lte, eq, neq", op)
	}
	return r, nil
}
