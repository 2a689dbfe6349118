package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// described is the document of the routes as a client reads it.
var described = sync.OnceValue(func() object {
	a := &api{Deps: Deps{Version: "1.2.3"}}
	var doc object
	if err := json.Unmarshal(a.openAPIDocument(), &doc); err != nil {
		panic(err)
	}
	return doc
})

// at follows a path of names into a document, nil if there is nothing.
func at(v any, names ...string) any {
	for _, n := range names {
		o, is := v.(object)
		if !is {
			return nil
		}
		v = o[n]
	}
	return v
}

func TestEveryRouteIsDescribed(t *testing.T) {
	known := map[string]bool{}
	for _, op := range operations() {
		name := op.method + " " + op.path
		if known[name] || op.summary == "" || op.tag == "" || len(op.answers) == 0 {
			t.Errorf("%s is described twice, or not wholly", name)
		}
		known[name] = true
	}
	a := &api{}
	n := 0
	for _, rt := range a.routes() {
		name := rt.method + " " + rt.path
		if strings.HasPrefix(rt.path, "/v1/") && !known[name] {
			t.Errorf("%s stands in no operation of openapiroutes.go: what does it read, and what does it answer?", name)
		}
		delete(known, name)
		if at(described(), "paths", templateOf(rt.path), strings.ToLower(rt.method)) == nil {
			t.Errorf("%s is not in the document", name)
		}
		n++
	}
	for name := range known {
		t.Errorf("%s is described, and is no route", name)
	}
	ids := map[string]bool{}
	for path, item := range at(described(), "paths").(object) {
		for method, op := range item.(object) {
			n--
			id, _ := at(op, "operationId").(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: operationId %q is missing or taken", method, path, id)
			}
			ids[id] = true
		}
	}
	if n != 0 {
		t.Errorf("the document has %d operations less than there are routes", n)
	}
}

// TestReferencesLeadSomewhere walks through the whole document.
func TestReferencesLeadSomewhere(t *testing.T) {
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, is := v["$ref"].(string); is && resolve(ref) == nil {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(described())
}

func TestDocumentIsServed(t *testing.T) {
	b := newBench(t)
	a := b.do("GET", "/v1/openapi.json", "").want(t, 200, "")
	if !bytes.HasPrefix(a.body, []byte("{")) || a.Header.Get("Content-Type") != "application/json" || !bytes.Contains(a.body, []byte(`"openapi": "3.1.0"`)) {
		t.Errorf("%v %.200s", a.Header, a.body)
	}
}

// TestTheCheckerFindsWhatIsWrong keeps conform from passing everything.
func TestTheCheckerFindsWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ path, body, says string }{
		{"/v1/healthz", `{"status":"ok"}`, ""},
		{"/v1/healthz", `{"status":1}`, "status"},
		{"/v1/healthz", `{}`, "status"},
		{"/v1/healthz", `{"status":"ok","more":1}`, "more"},
		{"/v1/healthz", `[]`, "array"},
		{"/v1/webhooks", `{"webhooks":[{"id":7}]}`, "webhooks[0]"},
	} {
		err := conforms("GET", c.path, 200, []byte(c.body))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.body, err, c.says)
		}
	}
	if conforms("GET", "/v1/healthz", 418, []byte(`{}`)) == nil || conforms("GET", "/v1/healthz", 299, []byte(`{"status":"ok"}`)) == nil {
		t.Error("an error that is not whole, or an answer that is not described, conforms")
	}
}

// conforms compares an answer of a route below /v1 with the document. Those of others,
// and of paths that there are not, are not its business.
func conforms(method, path string, status int, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	op := operationAt(method, path)
	if op == nil || !strings.HasPrefix(path, "/v1/") {
		return nil
	}
	answer := at(op, "responses", strconv.Itoa(status))
	if answer == nil && status >= 400 {
		answer = at(op, "responses", "default")
	}
	if answer == nil {
		return fmt.Errorf("status %d is not described", status)
	}
	schema := at(answer, "content", "application/json", "schema")
	if schema == nil {
		return nil
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	return fits("body", v, schema.(object))
}

// operationAt finds the operation that a path calls: one without wildcards goes first.
func operationAt(method, path string) any {
	paths := at(described(), "paths").(object)
	if op := at(paths, path, strings.ToLower(method)); op != nil {
		return op
	}
	have := strings.Split(path, "/")
	for template, item := range paths {
		want := strings.Split(template, "/")
		if len(want) != len(have) {
			continue
		}
		same := true
		for i := range want {
			same = same && (want[i] == have[i] || strings.HasPrefix(want[i], "{") && have[i] != "")
		}
		if op := at(item, strings.ToLower(method)); same && op != nil {
			return op
		}
	}
	return nil
}

func resolve(ref string) object {
	one, _ := at(described(), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(object)
	return one
}

// fits checks a value against the part of JSON Schema that the document uses. It is
// stricter in one thing: a member that is not described is one that should be.
func fits(where string, v any, schema object) error {
	if ref, is := schema["$ref"].(string); is {
		return fits(where, v, resolve(ref))
	}
	if any, is := schema["anyOf"].([]any); is {
		var why []string
		for _, one := range any {
			err := fits(where, v, one.(object))
			if err == nil {
				return nil
			}
			why = append(why, err.Error())
		}
		return fmt.Errorf("%s", strings.Join(why, "; and "))
	}
	if want, is := schema["type"].(string); is && kindOf(v) != want && !(want == "number" && kindOf(v) == "integer") {
		return fmt.Errorf("%s is %s, not %s", where, kindOf(v), want)
	}
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			if items, is := schema["items"].(object); is {
				if err := fits(fmt.Sprintf("%s[%d]", where, i), one, items); err != nil {
					return err
				}
			}
		}
	case object:
		return fitsObject(where, v, schema)
	}
	return nil
}

func fitsObject(where string, v, schema object) error {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, there := v[name.(string)]; !there {
			return fmt.Errorf("%s has no %s", where, name)
		}
	}
	for name, one := range v {
		member, known := at(schema, "properties", name).(object)
		if !known {
			more, is := schema["additionalProperties"].(object)
			if !is && schema["properties"] != nil && schema["additionalProperties"] != true {
				return fmt.Errorf("%s has %s, which is not described", where, name)
			}
			member = more
		}
		if err := fits(where+"."+name, one, member); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	case []any:
		return "array"
	}
	return "object"
}

// conform fails the test of an answer that is not as the document says.
func (a answer) conform(t testing.TB, method, path string) answer {
	t.Helper()
	if a.StatusCode == 204 || a.StatusCode == 304 || strings.Contains(path, "%") || !slices.Contains([]string{"GET", "POST", "PUT", "DELETE"}, method) {
		return a
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		return a
	}
	if err := conforms(method, path, a.StatusCode, a.body); err != nil {
		t.Errorf("%s %s answers %d, other than the document says: %v: %.500s", method, path, a.StatusCode, err, a.body)
	}
	return a
}
