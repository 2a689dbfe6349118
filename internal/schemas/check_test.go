package schemas

import (
	"encoding/json"
	"strings"
	"testing"

	"ingest/internal/errcode"
)

func value(t testing.TB, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCheck(t *testing.T) {
	schema := Object{
		"additionalProperties": false, "required": oneOf("name"),
		"definitions": Object{"count": Object{"type": "integer", "minimum": 0}, "positive": Object{"allOf": list{reference("count"), Object{"default": 0}}}},
		"properties": Object{
			"name": limited(3), "kind": formats([]string{"a", "b"}), "n": reference("positive"), "f": Object{"type": "number"}, "any": Object{},
			"words": Object{"type": "array", "items": limited(2), "uniqueItems": true, "minItems": 1},
			"map":   Object{"type": "object", "additionalProperties": Object{"type": "boolean"}},
		},
	}
	tests := []struct{ text, field string }{
		{`{"name":"abc"}`, ""}, {`{"name":"éèê"}`, ""}, {`{"name":"abcd"}`, "name"}, {`{}`, "name"}, {`[]`, "body"}, {`null`, "body"}, {`"x"`, "body"},
		{`{"name":null}`, "name"}, {`{"name":"a","x":1}`, "x"},
		{`{"name":"a","kind":null}`, ""}, {`{"name":"a","kind":"b"}`, ""}, {`{"name":"a","kind":"c"}`, "kind"}, {`{"name":"a","kind":1}`, "kind"},
		{`{"name":"a","n":0}`, ""}, {`{"name":"a","n":1.0}`, ""}, {`{"name":"a","n":-1}`, "n"}, {`{"name":"a","n":1.5}`, "n"}, {`{"name":"a","n":1e999}`, "n"}, {`{"name":"a","n":true}`, "n"},
		{`{"name":"a","f":1.5}`, ""}, {`{"name":"a","f":2}`, ""}, {`{"name":"a","f":"2"}`, "f"},
		{`{"name":"a","any":{"x":[[[1]]]}}`, ""},
		{`{"name":"a","words":["a","b"]}`, ""}, {`{"name":"a","words":[]}`, "words"}, {`{"name":"a","words":["a","abc"]}`, "words[1]"}, {`{"name":"a","words":["a","a"]}`, "words"},
		{`{"name":"a","map":{"x":true}}`, ""}, {`{"name":"a","map":{"x":1}}`, "map.x"},
	}
	for _, tt := range tests {
		err := Check(schema, value(t, tt.text))
		field := ""
		if e, ok := errcode.As(err); ok && e.Evidence != nil {
			field = e.Evidence.Field
		}
		if field != tt.field || (err == nil) != (tt.field == "") {
			t.Errorf("%s: %v, field %q, want %q", tt.text, err, field, tt.field)
		}
		if err != nil && errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%s: code %s", tt.text, errcode.Of(err))
		}
	}
}

// TestSchemasRefer finds every definition that a schema refers to, where clients look.
func TestSchemasRefer(t *testing.T) {
	all := All(Options{Stores: true})
	for _, strictly := range []Object{Namespace(), Definition(), Property()} {
		all["strict "+strictly["name"].(string)] = Strict(strictly)
	}
	for name, s := range all {
		known, _ := s["definitions"].(Object)
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case Object:
				if ref, ok := v["$ref"].(string); ok && known[strings.TrimPrefix(ref, "#/definitions/")] == nil {
					t.Errorf("%s refers to %s", name, ref)
				}
				for _, e := range v {
					walk(e)
				}
			case list:
				for _, e := range v {
					walk(e)
				}
			}
		}
		walk(s)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"namespace":"N","properties":{"a":{"title":"x","type":"array","items":{"type":"string"},"minLength":1e3}},"objects":[{"name":"o","required":["a"]}]}`)
	f.Add(`{"tags":[{"name":"x"},{}],"namespace":[[[[]]]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) != nil {
			return
		}
		loose, tight := Check(Namespace(), v), Check(Strict(Namespace()), v)
		if loose != nil && tight == nil {
			t.Errorf("the strict schema takes what the other refuses: %v", loose)
		}
		for _, err := range []error{loose, tight} {
			if err != nil && errcode.Of(err) != errcode.BadRequest {
				t.Errorf("%v", err)
			}
		}
	})
}
