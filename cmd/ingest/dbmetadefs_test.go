package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// standardMetadefs are Debian's, which come with Glance.
const standardMetadefs = "/etc/glance/metadefs"

// emptyCatalogue makes a data folder with a catalogue.
func emptyCatalogue(t *testing.T) (string, metadata.Repository) {
	t.Helper()
	dir := t.TempDir()
	repo, err := sqlite.Open(filepath.Join(dir, catalogueFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	return dir, repo
}

// documentsIn reads the JSON files of a folder by their namespaces.
func documentsIn(t *testing.T, dir string) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v: run scripts/setup", dir, err)
	}
	out := map[string]map[string]any{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		out[v["namespace"].(string)] = v
	}
	return out
}

// TestStandardMetadefs loads what comes with Glance, writes it out again and compares.
func TestStandardMetadefs(t *testing.T) {
	want := documentsIn(t, standardMetadefs)
	dir, _ := emptyCatalogue(t)
	var loaded []loadedFile
	if err := json.Unmarshal([]byte(dbOutcome(t, "load-metadefs", standardMetadefs, "--data-dir", dir, "--json").out), &loaded); err != nil {
		t.Fatal(err)
	}
	if len(loaded) != len(want) {
		t.Errorf("%d files loaded, want %d", len(loaded), len(want))
	}
	for _, f := range loaded {
		if f.Outcome != metadata.LoadCreated {
			t.Errorf("%+v", f)
		}
	}
	dbOutcome(t, "load-metadefs", standardMetadefs, "--data-dir", dir).want(t, 0, `(skipped +\S+  .*\n)+`, ``)
	dbOutcome(t, "load-metadefs", standardMetadefs, "--data-dir", dir, "--merge").want(t, 0, `(unchanged +\S+  .*\n)+`, ``)
	to := filepath.Join(t.TempDir(), "new")
	dbOutcome(t, "export-metadefs", to, "--data-dir", dir).want(t, 0, `\d+ namespaces written to .*\n`, ``)
	got := documentsIn(t, to)
	if len(got) != len(want) {
		t.Fatalf("%d namespaces written, want %d", len(got), len(want))
	}
	for name, w := range want {
		if g := got[name]; !reflect.DeepEqual(reduced(g), reduced(w)) {
			t.Errorf("%s differs (-want +got):\n%s", name, cmp.Diff(reduced(w), reduced(g)))
		}
	}
}

// reduced is a namespace without what the catalogue adds and without empty lists, with
// the defaults of properties as texts and the associations by name.
func reduced(v map[string]any) map[string]any {
	out := map[string]any{"protected": false, "visibility": "private"}
	for k, e := range v {
		if l, ok := e.([]any); k != "owner" && (!ok || len(l) > 0) {
			out[k] = e
		}
	}
	ties, _ := out["resource_type_associations"].([]any)
	slices.SortFunc(ties, func(a, b any) int {
		return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
	})
	textDefaults(out)
	return out
}

func textDefaults(v any) {
	switch v := v.(type) {
	case map[string]any:
		if d, ok := v["default"]; ok && v["title"] != nil {
			raw, _ := json.Marshal(d)
			v["default"] = strings.Trim(string(raw), `"`)
		}
		for _, e := range v {
			textDefaults(e)
		}
	case []any:
		for _, e := range v {
			textDefaults(e)
		}
	}
}

func TestLoadMetadefs(t *testing.T) {
	dir, repo := emptyCatalogue(t)
	files := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	load := func(args ...string) outcome {
		return dbOutcome(t, append([]string{"load-metadefs", "--data-dir", dir}, args...)...)
	}
	state := func() string {
		cat := metadata.New(repo)
		ns, err := cat.Namespace(t.Context(), "N")
		if err != nil {
			t.Fatal(err)
		}
		w, err := cat.WholeNamespace(t.Context(), ns.ID)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{w.Owner, *w.Description}
		for _, d := range w.Definitions {
			out = append(out, d.Name+string(d.Document))
		}
		return strings.Join(out, " ")
	}
	first := put("first.json", `{"namespace":"N","description":"one","protected":true,"properties":{"a":{"title":"A","type":"string"}},"tags":[{"name":"t"}]}`)
	second := put("second.json", `{"namespace":"N","description":"two","owner":"o","properties":{"a":{"title":"AA","type":"string"},"b":{"title":"B","type":"string"}}}`)
	a, aa, b := `a{"type":"string","title":"A"}`, `a{"type":"string","title":"AA"}`, `b{"type":"string","title":"B"}`
	for _, step := range []struct {
		args []string
		says string
		want string
	}{
		{[]string{first}, "created", "admin one " + a + " t"},
		{[]string{second}, "skipped", "admin one " + a + " t"},
		{[]string{second, "--merge"}, "merged", "admin one " + a + " t " + b},
		{[]string{second, "--merge"}, "unchanged", "admin one " + a + " t " + b},
		{[]string{second, "--merge", "--prefer-new"}, "merged", "o two " + aa + " t " + b},
		{[]string{first, "--replace"}, "replaced", "admin one " + a + " t"},
	} {
		load(step.args...).want(t, 0, step.says+` +\S+  N\n`, ``)
		if got := state(); got != step.want {
			t.Errorf("after %q: %s, want %s", step.args[1:], got, step.want)
		}
	}
	bad := put("bad.json", `{"namespace":"bad","properties":{"a":{"title":"A","type":"strung"}}}`)
	load(bad).want(t, 1, `failed +\S+bad.json: BAD_REQUEST: properties.a.type: expected one of .*\n`, ``)
	load(files).want(t, 1, `failed .*\nskipped .*\nskipped .*\n`, ``)
	load(put("big.json", strings.Repeat(" ", maxMetadefFile+1))).want(t, 1, `failed .* more than 4194304 bytes\n`, ``)
	load(filepath.Join(files, "none.json")).want(t, 2, ``, `error: .*no such file(?s:.*)`)
	load(t.TempDir()).want(t, 2, ``, `error: there is no .json file in (?s:.*)`)
	load(first, "--prefer-new").want(t, 2, ``, `error: --prefer-new goes with --merge(?s:.*)`)
	load(first, "--replace", "--merge").want(t, 2, ``, `error: --replace goes with (?s:.*)`)
}

func TestMetadefFileNames(t *testing.T) {
	var files []string
	for _, name := range []string{"OS::Compute::X", "OS/Compute X", "../../etc", ".", "é", "É", "OS::compute::x"} {
		files = append(files, freeName(files, metadefFileName(name)))
	}
	want := []string{"OS-Compute-X.json", "OS-Compute-X-2.json", "-..-etc.json", "namespace.json", "-.json", "--2.json", "OS-compute-x-3.json"}
	if !reflect.DeepEqual(files, want) {
		t.Errorf("got %q, want %q", files, want)
	}
}
