package apidiff

import (
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
)

// headers are those that clients go by.
var headers = []string{
	"Content-Type", "Location", "Allow", "Content-Range", "Content-Length", "Content-Md5", "Accept-Patch",
	"Openstack-Image-Import-Methods", "Openstack-Image-Store-Ids", "Accept-Ranges", "Etag", "X-Openstack-Request-Id",
}

// A Difference is one thing in which two answers to a request differ.
type Difference struct {
	Request string // its title
	What    string // "status", "header NAME", or the place in the body: "$.a[0].b"
	Left    string // what the first service says; "" is nothing
	Right   string
}

// An Intended difference is meant.
type Intended struct {
	// Request is the title, What that of the difference; * stands for anything.
	Request string
	What    string
	Reason  string
}

func (i Intended) covers(d Difference) bool {
	return like(i.Request, d.Request) && like(i.What, d.What)
}

// like reports whether a text is of a pattern, in which * stands for anything.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	if len(parts) == 1 {
		return pattern == text
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// A Report is what a replay has shown.
type Report struct {
	Requests int
	// Unexpected are the differences that nobody meant.
	Unexpected []Difference
	// Expected is how many were meant.
	Expected int
	// Unseen are those that were meant and are not there.
	Unseen []Intended
}

// Replay sends every request to both services, one after the other, and compares their
// answers.
func Replay(left, right *Service, requests []Request, intended []Intended) (Report, error) {
	rep := Report{Requests: len(requests)}
	seen := make([]bool, len(intended))
	for _, r := range requests {
		a, err := left.send(r)
		if err != nil {
			return rep, err
		}
		b, err := right.send(r)
		if err != nil {
			return rep, err
		}
		for _, d := range compare(r, left, a, right, b) {
			meant := false
			for i, in := range intended {
				if in.covers(d) {
					seen[i], meant = true, true
				}
			}
			if meant {
				rep.Expected++
			} else {
				rep.Unexpected = append(rep.Unexpected, d)
			}
		}
	}
	for i, in := range intended {
		if !seen[i] {
			rep.Unseen = append(rep.Unseen, in)
		}
	}
	return rep, nil
}

func compare(r Request, left *Service, a Answer, right *Service, b Answer) []Difference {
	var out []Difference
	add := func(what, x, y string) {
		if x != y {
			out = append(out, Difference{r.Title(), what, x, y})
		}
	}
	if add("status", fmt.Sprint(a.Status), fmt.Sprint(b.Status)); len(out) > 0 && max(a.Status, b.Status) >= 400 {
		return out // a refusal has nothing in common with another answer
	}
	for _, name := range headers {
		add("header "+name, left.header(name, a, r.Method), right.header(name, b, r.Method))
	}
	if r.Method == "HEAD" {
		return out
	}
	x, y := left.body(a), right.body(b)
	places := slices.Sorted(maps.Keys(x))
	for place := range y {
		if _, both := x[place]; !both {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	for _, place := range places {
		add(place, x[place], y[place])
	}
	return out
}

// header makes a header comparable. The length of a body that is compared anyway says
// nothing, and neither does the type of no body.
func (s *Service) header(name string, a Answer, method string) string {
	v := a.Header.Get(name)
	switch name {
	case "Content-Type":
		if len(a.Body) == 0 {
			return ""
		}
		if kind, _, err := mime.ParseMediaType(v); err == nil {
			return kind
		}
	case "Content-Length":
		if method != "HEAD" && !strings.HasPrefix(a.Header.Get("Content-Type"), "application/octet-stream") {
			return ""
		}
	case "X-Openstack-Request-Id":
		if v != "" {
			return "<id>"
		}
	case "Allow":
		methods := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(methods)
		// Where there is GET there is HEAD, whether it is said or not.
		return strings.Join(slices.DeleteFunc(methods, func(m string) bool { return m == "HEAD" }), ", ")
	}
	return s.text(v)
}

// body makes a body comparable. Of a refusal, message and evidence are words.
func (s *Service) body(a Answer) map[string]string {
	out := map[string]string{}
	if len(a.Body) == 0 {
		return out
	}
	v := decode(a.Body)
	if m, ok := v.(map[string]any); ok && a.Status >= 400 {
		if text, ok := m["message"].(string); ok && text != "" {
			m["message"] = "<words>"
		}
		delete(m, "error")
	}
	s.flat(v, "$", out)
	return out
}

// String lists what is at fault.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d intended differences, %d others\n", r.Requests, r.Expected, len(r.Unexpected))
	for _, d := range r.Unexpected {
		fmt.Fprintf(&b, "  %s: %s: %s, not %s\n", d.Request, d.What, orNothing(d.Right), orNothing(d.Left))
	}
	for _, in := range r.Unseen {
		fmt.Fprintf(&b, "  %s: %s: was meant to differ (%s)\n", in.Request, in.What, in.Reason)
	}
	return b.String()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
