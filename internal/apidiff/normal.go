package apidiff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// save keeps the id of an answer.
func (s *Service) save(name string, raw []byte) {
	var v struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(raw, &v) // without an id the next request is refused, which is seen
	s.Let(name, v.ID)
}

var (
	uuids = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)
	times = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?$`)
)

// text makes a text comparable.
func (s *Service) text(v string) string {
	if times.MatchString(v) {
		return "<time>"
	}
	v = strings.ReplaceAll(v, s.URL, "")
	if u, err := url.Parse(v); err == nil && strings.HasPrefix(v, "/") {
		u.RawQuery = u.Query().Encode()
		u.Path, u.RawPath = u.EscapedPath(), ""
		if v, err = url.PathUnescape(u.String()); err != nil {
			v = u.String()
		}
	}
	return uuids.ReplaceAllString(v, "<uuid>")
}

// decode reads a body; one that is no JSON is its text.
func decode(raw []byte) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return string(raw)
	}
	return v
}

// flat lists the leaves of a JSON value by their places: {"a":[1]} is $.a[0] = 1. Empty
// lists and objects are leaves.
func (s *Service) flat(v any, at string, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			into[at] = "{}"
		}
		for name, e := range v {
			if list, ok := e.([]any); ok && name == "tags" {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) // they are a set
			}
			s.flat(e, at+"."+s.text(name), into)
		}
	case []any:
		if len(v) == 0 {
			into[at] = "[]"
		}
		for i, e := range v {
			s.flat(e, fmt.Sprintf("%s[%d]", at, i), into)
		}
	case string:
		into[at] = fmt.Sprintf("%q", s.text(v))
	default:
		into[at] = fmt.Sprint(v)
	}
}
