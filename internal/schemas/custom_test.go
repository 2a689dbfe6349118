package schemas

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestStandardProperties reads Debian's file, which names what is built in.
func TestStandardProperties(t *testing.T) {
	raw, err := os.ReadFile("/etc/glance/schema-image.json")
	if err != nil {
		t.Fatalf("%v: run scripts/setup, which installs it", err)
	}
	got, err := ParseProperties(raw)
	if err != nil {
		t.Fatal(err)
	}
	names, want := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(WellKnown()))
	if !slices.Equal(names, want) {
		t.Errorf("the file has %q, built in are %q", names, want)
	}
	for name, p := range got {
		if fmt.Sprint(p["type"], p["enum"], p["pattern"]) != fmt.Sprint(WellKnown()[name]["type"], WellKnown()[name]["enum"], WellKnown()[name]["pattern"]) {
			t.Errorf("%s is %v, built in is %v", name, p, WellKnown()[name])
		}
	}
}

func TestRefusedProperties(t *testing.T) {
	var many []string
	for i := range maxCustom + 1 {
		many = append(many, fmt.Sprintf(`"p%d":{"type":"string"}`, i))
	}
	for text, want := range map[string]string{
		`[]`: "cannot unmarshal", `{"a":1}`: "cannot unmarshal", `{"a":{}}`: "a: the type is", `{"a":{"type":"integer"}}`: "a: the type is",
		`{"a":{"type":["null"]}}`: "a: the type is", `{"a":{"type":["string","integer"]}}`: "a: the type is", `{"a":null}`: "a: the type is",
		`{"status":{"type":"string"}}`: "status is a member", `{"stores":{"type":"string"}}`: "stores is a member",
		`{"a":{"type":"string","description":7}}`: "no text", `{"a":{"type":"string","readOnly":true}}`: "not readOnly",
		`{"a":{"type":"string","pattern":"(?=x)"}}`: "a: the pattern is not understood", `{"a":{"type":"string","pattern":5}}`: "a: the pattern is no text",
		`{"a":{"type":"string","maxLength":"5"}}`: "a: maxLength is no", `{"a":{"type":"string","minLength":-1}}`: "a: minLength is no",
		`{"a":{"type":"string","maxLength":1.5}}`: "a: maxLength is no", `{"a":{"type":"string","enum":"x"}}`: "a: enum is no list",
		"{" + strings.Join(many, ",") + "}": "257 properties",
	} {
		if _, err := ParseProperties([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	if got, err := ParseProperties([]byte(`{"a":{"type":["null","string"]},"b":{"type":"string"}}`)); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}
