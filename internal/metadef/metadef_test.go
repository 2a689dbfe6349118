package metadef

import (
	"encoding/json"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

const whole = `{"namespace":"N","resource_type_associations":[{"name":"T","prefix":"t_"},{"name":"U"}],
	"properties":{"a":{"title":"A","type":"integer","default":3},"b":{"title":"B","type":"boolean","default":true},"c":{"title":"C","type":"array","default":["x"]},
	"d":{"title":"D","type":"number","minimum":1.50,"default":0.5}},
	"objects":[{"name":"o","required":["q"],"properties":{"q":{"title":"Q","type":"string"}}}],"tags":[{"name":"g"}]}`

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestExportedIsWhatWasParsed(t *testing.T) {
	w, err := ParseNamespace([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	out, err := Exported(w)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"namespace":"N","protected":false,"owner":"","resource_type_associations":[{"name":"T","prefix":"t_"},{"name":"U"}],` +
		`"properties":{"a":{"type":"integer","title":"A","default":"3"},"b":{"type":"boolean","title":"B","default":"True"},` +
		`"c":{"type":"array","title":"C","default":["x"]},"d":{"type":"number","title":"D","default":"0.5","minimum":1.50}},` +
		`"objects":[{"name":"o","required":["q"],"properties":{"q":{"type":"string","title":"Q"}}}],"tags":[{"name":"g"}]}`
	if got := text(t, out); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again, err := ParseNamespace([]byte(text(t, out)))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := text(t, w), text(t, again); a != b {
		t.Errorf("read again: %s\nwas %s", b, a)
	}
}

func TestPrefixed(t *testing.T) {
	w, err := ParseNamespace([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	ns, err := OfWhole(w)
	if err != nil {
		t.Fatal(err)
	}
	before := text(t, ns)
	got := ns.Prefixed("T")
	if len(got.Properties) != 4 || got.Properties["t_a"].Title != "A" || got.Objects[0].Required[0] != "t_q" || got.Objects[0].Properties["t_q"].Title != "Q" {
		t.Errorf("%s", text(t, got))
	}
	for _, kind := range []string{"", "U", "none"} {
		if text(t, ns.Prefixed(kind)) != before {
			t.Errorf("type %q has a prefix", kind)
		}
	}
}

func TestUnprefixed(t *testing.T) {
	prefix, empty := "hw_", ""
	for _, tt := range []struct {
		prefix     *string
		name, want string
		ok         bool
	}{{&prefix, "hw_x", "x", true}, {&prefix, "x", "x", false}, {nil, "x", "x", false}, {&empty, "x", "x", false}} {
		if got, ok := Unprefixed(metadata.Association{Prefix: tt.prefix}, tt.name); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %q, %v", tt.name, got, ok)
		}
	}
}

func TestReadOnly(t *testing.T) {
	for _, member := range []string{"self", "schema", "created_at", "updated_at"} {
		_, err := ParseObject([]byte(`{"name":"x","` + member + `":"y"}`))
		if errcode.Of(err) != errcode.Forbidden {
			t.Errorf("%s: %v", member, err)
		}
	}
}

func TestPath(t *testing.T) {
	if got := Path("OS::X y/z", "objects", "ü?"); got != "/v2/metadefs/namespaces/OS::X%20y%2Fz/objects/%C3%BC%3F" {
		t.Error(got)
	}
}

// FuzzParseNamespace reads back whatever it has taken.
func FuzzParseNamespace(f *testing.F) {
	f.Add(whole)
	f.Add(`{"namespace":"x","properties":{"a":{"title":"x","type":"string","default":{"a":null}}}}`)
	f.Fuzz(func(t *testing.T, in string) {
		w, err := ParseNamespace([]byte(in))
		if err != nil {
			if code := errcode.Of(err); code != errcode.BadRequest && code != errcode.Forbidden {
				t.Errorf("%v", err)
			}
			return
		}
		out, err := Exported(w)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseNamespace([]byte(text(t, out)))
		if err != nil && !strings.Contains(in, "\\u") {
			t.Fatalf("%s: %v", text(t, out), err)
		}
		if err == nil && text(t, again) != text(t, w) {
			t.Errorf("%s\n%s", text(t, w), text(t, again))
		}
	})
}
