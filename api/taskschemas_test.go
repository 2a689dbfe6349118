package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/formats/writers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/internal/schemas"
)

// A judged input is one that a server and the schema that it shows have judged.
type judged struct {
	Type  string          `json:"type"`
	Input json.RawMessage `json:"input"`
	taken bool            // by the server
	whose bool            // refused for who asks, or for what there is
	says  string          // the answer
}

// pythonJudge reads schemas and inputs, holds the schemas against their own schema, and
// writes what is wrong with each input.
const pythonJudge = `import json, sys
from jsonschema import Draft202012Validator as Validator
asked = json.load(sys.stdin)
for schema in asked["schemas"].values():
    Validator.check_schema(schema)
judges = {kind: Validator(schema, format_checker=Validator.FORMAT_CHECKER) for kind, schema in asked["schemas"].items()}
wrong = [next((e.message for e in judges[c["type"]].iter_errors(c["input"])), "") for c in asked["cases"]]
json.dump(wrong, sys.stdout)
`

// judge asks the jsonschema library of Python, which reads JSON Schema 2020-12, and formats
// as assertions.
func judge(t *testing.T, shown map[string]json.RawMessage, cases []judged) []string {
	t.Helper()
	var in, stderr bytes.Buffer
	if err := json.NewEncoder(&in).Encode(map[string]any{"schemas": shown, "cases": cases}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(pythonWithSchemas(t), "-c", pythonJudge)
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	var wrong []string
	if err = errors.Join(err, json.Unmarshal(out, &wrong)); err != nil || len(wrong) != len(cases) {
		t.Fatalf("%v, %d answers to %d inputs\n%s", err, len(wrong), len(cases), stderr.Bytes())
	}
	return wrong
}

// pythonWithSchemas finds a Python with the library: Debian's, or the first in the path.
func pythonWithSchemas(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "from jsonschema import Draft202012Validator").Run() == nil {
			return name
		}
	}
	if os.Getenv(imgtest.SkipEnv) != "" {
		t.Skipf("NOT TESTED: Python's jsonschema is absent and %s is set", imgtest.SkipEnv)
	}
	t.Fatalf("Python's jsonschema is the oracle of this test and is absent: install python3-jsonschema, or set %s to skip", imgtest.SkipEnv)
	return ""
}

// A schemaBench is a server that takes every type of input, with an active image.
type schemaBench struct {
	*bench
	image string
}

func newSchemaBench(t *testing.T) schemaBench {
	b := newBench(t, func(d *Deps) {
		d.Identity, d.Stores, d.ReadOnly = proven{}, []string{"local", "far", "shelf"}, []string{"shelf"}
		d.Defaults.Schemes, d.Defaults.Destinations = []string{"http", "https", "glance"}, []string{"file", "http", "https"}
		d.Defaults.Targets, d.Defaults.Presets = nil, nil
		for _, w := range writers.All() {
			one := wire.Target{Name: w.Name}
			for _, o := range w.Options {
				one.Options = append(one.Options, wire.TargetOption{Name: o.Name, Help: o.Help, Takes: o.Takes()})
			}
			d.Defaults.Targets = append(d.Defaults.Targets, one)
		}
		for _, p := range writers.Presets() {
			d.Defaults.Presets = append(d.Defaults.Presets, wire.Preset(p))
		}
		d.Regions = map[string]Region{"north": {URL: "https://image.north.example:9292/v"}}
	})
	s := b.submit(someImport, rolesHeader("red", "admin")...)
	b.finish(s, []byte("bytes"))
	return schemaBench{b, s.ImageID}
}

// ask has the server judge an input, in which IMAGE is the active image.
func (b schemaBench) ask(t *testing.T, kind, input string) judged {
	t.Helper()
	input = strings.ReplaceAll(input, "IMAGE", b.image)
	a := b.do("POST", "/v2/tasks", `{"type":"`+kind+`","input":`+input+`}`, rolesHeader("red", "admin")...)
	if a.StatusCode == 409 && strings.Contains(string(a.body), string(errcode.Conflict)) {
		return newSchemaBench(t).ask(t, kind, input) // another image is in the way, and not the input
	}
	if a.StatusCode != 201 && (a.StatusCode < 400 || a.StatusCode > 413) {
		t.Fatalf("%s %s: got %d %s", kind, input, a.StatusCode, a.body)
	}
	whose := a.StatusCode == 404 || strings.Contains(string(a.body), "belongs to the project")
	return judged{Type: kind, Input: json.RawMessage(input), taken: a.StatusCode == 201, whose: whose, says: string(a.body)}
}

// shownSchemas are those that the server shows, by the type of task.
func (b schemaBench) shownSchemas(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	out := map[string]json.RawMessage{}
	for _, kind := range taskTypes() {
		if kind.request == nil {
			b.do("GET", "/v1/schemas/tasks/"+kind.name, "").want(t, 404, errcode.NotFound)
			continue
		}
		a := b.do("GET", "/v1/schemas/tasks/"+kind.name, "").want(t, 200, "")
		if got := a.Header.Get("Content-Type"); got != "application/schema+json" {
			t.Errorf("%s is %s", kind.name, got)
		}
		out[kind.name] = a.body
	}
	b.do("GET", "/v1/schemas/tasks/none", "").want(t, 404, errcode.NotFound)
	return out
}

// TestSchemasNameWhatIsRead compares the members that the readers of inputs take with those
// that the schemas name.
func TestSchemasNameWhatIsRead(t *testing.T) {
	read := map[string]map[string]any{
		typeImport: new(importAsked).members(), contract.TypeExport: new(exportAsked).members(), contract.TypeClone: new(cloneAsked).members(),
	}
	for kind, raw := range newSchemaBench(t).shownSchemas(t) {
		var schema object
		if err := json.Unmarshal(raw, &schema); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(keys(read[kind]), keys(at(schema, "properties").(object))); diff != "" || schema["additionalProperties"] != false {
			t.Errorf("%s (-reader +schema):\n%s", kind, diff)
		}
		for name, p := range at(schema, "properties").(object) {
			if at(p, "description") == nil {
				t.Errorf("%s: %s has no description", kind, name)
			}
		}
		if source := at(schema, "properties", "source"); source != nil {
			if diff := gocmp.Diff(keys(new(cloneSource).members()), keys(at(source, "properties").(object))); diff != "" || at(source, "additionalProperties") != false {
				t.Errorf("source (-reader +schema):\n%s", diff)
			}
		}
	}
}

// TestSchemasAreThoseOfTheServer: they tell everybody what it takes, and not which other
// clouds it knows.
func TestSchemasAreThoseOfTheServer(t *testing.T) {
	clone := newSchemaBench(t).shownSchemas(t)[contract.TypeClone]
	if !bytes.Contains(clone, []byte(`"far"`)) || bytes.Contains(clone, []byte("shelf")) || bytes.Contains(clone, []byte("north")) {
		t.Errorf("stores that are written to, and regions: %s", clone)
	}
	b := newBench(t, func(d *Deps) {
		d.Defaults.SourceFormats, d.ImageProperties = []string{"vdi"}, map[string]schemas.Object{"tier": {"type": "string", "enum": []any{"gold"}}}
	})
	ask := func(kind, input string) judged { return schemaBench{b, cloneID}.ask(t, kind, input) }
	cases := []judged{
		ask(typeImport, importing("http://h/i", "vdi", `"tier":"gold"`)), ask(typeImport, importing("http://h/i", "vdi", `"tier":"lead"`)),
		ask(typeImport, importing("http://h/i", "vdi", `"kernel_id":"x"`)), ask(typeImport, importing("http://h/i", "raw", "")),
		{Type: contract.TypeExport, Input: json.RawMessage(exportingTo("/srv/x", ""))},
	}
	for i, wrong := range judge(t, schemaBench{b, cloneID}.shownSchemas(t), cases) {
		if want := i == 0 || i == 2; cases[i].taken != want || (wrong == "") != want {
			t.Errorf("%s: taken: %v, the schema says %q", cases[i].Input, cases[i].taken, wrong)
		}
	}
}

// TestSchemasSayWhatIsTaken holds the schemas against the server: both take an input, or
// both refuse it.
func TestSchemasSayWhatIsTaken(t *testing.T) {
	b := newSchemaBench(t)
	shown := b.shownSchemas(t)
	var cases []judged
	for kind := range shown {
		for _, want := range []bool{true, false} {
			for _, input := range schemaInputs(kind, want) {
				c := b.ask(t, kind, input)
				if c.taken != want {
					t.Errorf("%s %s: the server takes it: %v: %s", kind, input, c.taken, c.says)
				}
				cases = append(cases, c)
			}
		}
		cases = append(cases, sweep(t, b, kind)...)
	}
	for i, wrong := range judge(t, shown, cases) {
		if c := cases[i]; c.taken != (wrong == "") {
			t.Errorf("%s %.300s: the server takes it: %v %.200s, the schema says %.200q", c.Type, c.Input, c.taken, c.says, wrong)
		}
	}
}

// TestWhatSchemasCannotSay lists what only the server knows: it refuses inputs that fit the
// schema, and takes other spellings of some that do not.
func TestWhatSchemasCannotSay(t *testing.T) {
	b := newSchemaBench(t)
	var cases []judged
	for kind, inputs := range untold() {
		for _, input := range inputs {
			cases = append(cases, b.ask(t, kind, input))
		}
	}
	for i, wrong := range judge(t, b.shownSchemas(t), cases) {
		if c := cases[i]; c.taken != (wrong != "") {
			t.Errorf("%s %.300s: both say the same: have it among what schemas say. %q", c.Type, c.Input, wrong)
		}
	}
}

// sweep puts odd values in the place of every member that the readers take, and in places
// that there are not.
func sweep(t *testing.T, b schemaBench, kind string) []judged {
	t.Helper()
	whole := map[string]string{
		typeImport:          `{"import_from":"http://h/i","import_from_format":"raw","image_properties":{}}`,
		contract.TypeExport: `{"image_id":"IMAGE","export_to":"/srv/x"}`,
		contract.TypeClone:  `{"source":{"image_id":"` + cloneID + `","url":"https://h"},"image_properties":{}}`,
	}[kind]
	places := map[string][]string{
		typeImport:          {"", "image_properties"},
		contract.TypeExport: {"", "export_options"},
		contract.TypeClone:  {"", "source", "image_properties"},
	}[kind]
	members := map[string]map[string]any{
		typeImport: new(importAsked).members(), contract.TypeExport: new(exportAsked).members(), contract.TypeClone: new(cloneAsked).members(),
		"source": new(cloneSource).members(), "image_properties": schemas.Image(schemas.Options{})["properties"].(object), "export_options": {"compression": nil},
	}
	var out []judged
	for _, place := range places {
		further := []string{"", "x", "Name", "URL", "OS_Glance_x", "content_digest", "deleted"}
		for _, name := range slices.AppendSeq(further, maps.Keys(members[cmp.Or(place, kind)])) {
			for _, value := range oddValues {
				if c := b.ask(t, kind, replaced(t, whole, place, name, value)); !c.whose {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// oddValues are what a member may be said to be; the first takes it away.
var oddValues = []string{
	"", `null`, `true`, `false`, `0`, `1`, `1.5`, `-1`, `1e9`, `1e10`, `""`, `"x"`, `" "`, `"a\u0000b"`, `"a\u0085b"`, `"private"`, `"raw"`, `"far"`, `"north"`, `"/srv/x"`, `"http://h/i"`,
	`"HTTPS://[::1]:8443"`, `"` + cloneID + `"`, `"` + strings.ToUpper(cloneID) + `"`, `"` + strings.Repeat("x", 300) + `"`, `[]`, `[null]`, `[""]`, `["far"]`, `["far","far"]`, `[1]`, `{}`, `{"x":"y"}`, `{"x":1}`,
}

// replaced has a value in the place of a member of an input, or of an object in it; no value
// takes the member away.
func replaced(t *testing.T, input, place, name, value string) string {
	t.Helper()
	var whole map[string]json.RawMessage
	if err := json.Unmarshal([]byte(input), &whole); err != nil {
		t.Fatal(err)
	}
	if place != "" {
		inner := string(whole[place])
		if inner == "" {
			inner = `{}`
		}
		name, value = place, replaced(t, inner, "", name, value)
	}
	whole[name] = json.RawMessage(value)
	if value == "" {
		delete(whole, name)
	}
	return string(mustJSON(whole))
}
