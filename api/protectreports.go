package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"ingest/internal/access"
	"ingest/metadata"
)

// A veil takes out of reports what the caller may not read: members of objects called
// properties, and what verdicts of the operator's policy say of them.
type veil struct {
	hidden func(name string) bool
	names  []string // that were taken out
}

// reportsShown returns events without the properties, in their details, that the caller
// may not read. A detail that cannot be understood is left out.
func (a *api) reportsShown(r *http.Request, t metadata.Task, events []metadata.Event) []metadata.Event {
	if a.Protections() == nil {
		return events
	}
	v := a.veilOf(r)
	v.properties(decoded(t.Request)) // of which verdicts speak too
	details := make([]any, len(events))
	for i, e := range events { // all of them first: verdicts speak of what others found
		details[i] = decoded(e.Detail)
		v.properties(details[i])
	}
	if len(v.names) == 0 {
		return events
	}
	out := slices.Clone(events)
	for i := range out {
		v.verdicts(details[i])
		if v.named(out[i].Message) {
			out[i].Message = aboutHidden
		}
		if out[i].Detail != nil {
			out[i].Detail = nil
			if details[i] != nil {
				out[i].Detail = mustJSON(details[i])
			}
		}
	}
	return out
}

func (a *api) veilOf(r *http.Request) *veil {
	return &veil{hidden: func(name string) bool { return !a.mayProperty(r, access.Read, name) }}
}

// decoded reads any JSON value with its numbers as they are written, nil if it is none.
func decoded(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

func (v *veil) properties(of any) {
	switch of := of.(type) {
	case []any:
		for _, one := range of {
			v.properties(one)
		}
	case map[string]any:
		for name, value := range of {
			if all, ok := value.(map[string]any); ok && name == "properties" {
				v.take(all)
			}
			v.properties(value)
		}
	}
}

func (v *veil) take(all map[string]any) {
	for name := range all {
		if v.hidden(name) {
			delete(all, name)
			v.names = append(v.names, name)
		}
	}
}

// veilOver knows of those of some properties that the caller may not read.
func (a *api) veilOver(r *http.Request, all map[string]string) *veil {
	v := a.veilOf(r)
	for name := range all {
		if v.hidden(name) {
			v.names = append(v.names, name)
		}
	}
	return v
}

// verdicts takes out of verdicts, and of errors that came of them, what they say of
// properties that are hidden.
func (v *veil) verdicts(of any) {
	switch of := of.(type) {
	case []any:
		for _, one := range of {
			v.verdicts(one)
		}
	case map[string]any:
		verdict := of["rule"] != nil && of["outcome"] != nil
		if failure := of["code"] != nil && of["message"] != nil; (verdict || failure) && v.speaks(of) {
			of["message"] = aboutHidden
			if verdict {
				of["subject"] = "a property that you may not read"
			}
			delete(of, "evidence")
			delete(of, "remedy")
		}
		for _, value := range of {
			v.verdicts(value)
		}
	}
}

// speaks reports whether a verdict or an error names a property that was taken out.
func (v *veil) speaks(of map[string]any) bool {
	return v.named(string(mustJSON(of)))
}

// aboutHidden stands for what is said of properties that are hidden.
const aboutHidden = "this is about a property that you may not read"

func (v *veil) named(text string) bool {
	return slices.ContainsFunc(v.names, func(name string) bool { return strings.Contains(text, name) })
}

// tells reports whether a document holds properties that the caller may not read.
func (a *api) tells(r *http.Request, document json.RawMessage) bool {
	if a.Protections() == nil {
		return false
	}
	v := a.veilOf(r)
	v.properties(decoded(document))
	return len(v.names) > 0
}
