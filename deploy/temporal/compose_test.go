// Package temporal_test checks that the files of this folder agree with each
// other and with the code: what they say is what an operator types.
package temporal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"ingest/internal/contract"
)

// compose is what the tests look at of compose.yaml.
type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image       string                `yaml:"image"`
	Build       *build                `yaml:"build"`
	Command     []string              `yaml:"command"`
	Environment map[string]string     `yaml:"environment"`
	Ports       []string              `yaml:"ports"`
	Volumes     []string              `yaml:"volumes"`
	DependsOn   map[string]dependency `yaml:"depends_on"`
	Healthcheck *struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	Restart string `yaml:"restart"`
}

type build struct {
	Context    string            `yaml:"context"`
	Dockerfile string            `yaml:"dockerfile"`
	Args       map[string]string `yaml:"args"`
}

type dependency struct {
	Condition string `yaml:"condition"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Services) == 0 {
		t.Fatal("compose.yaml has no services")
	}
	return c
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// pinned matches a tag that names at least a minor version.
var pinned = regexp.MustCompile(`^[^:]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$`)

func TestImages(t *testing.T) {
	for name, s := range readCompose(t).Services {
		if strings.Contains(s.Image, "auto-setup") {
			t.Errorf("%s uses the retired image %s", name, s.Image)
		}
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q is not pinned to a version", name, s.Image)
		}
	}
	for _, line := range strings.Split(string(read(t, "../Dockerfile")), "\n") {
		if image, ok := strings.CutPrefix(line, "FROM "); ok && !pinned.MatchString(strings.Fields(image)[0]) {
			t.Errorf("Dockerfile: %q is not pinned to a version", line)
		}
	}
}

// TestServerVersion keeps the service at the version that is embedded, so that
// what is tested with one holds for the other.
func TestServerVersion(t *testing.T) {
	m := regexp.MustCompile(`(?m)^\s*go\.temporal\.io/server v(\S+)$`).FindSubmatch(read(t, "../../go.mod"))
	if m == nil {
		t.Fatal("go.mod does not name go.temporal.io/server")
	}
	c := readCompose(t)
	for name, image := range map[string]string{"temporal": "temporalio/server:", "temporal-schema": "temporalio/admin-tools:"} {
		if got, want := c.Services[name].Image, image+string(m[1]); got != want {
			t.Errorf("%s: image %s, want %s as in go.mod", name, got, want)
		}
	}
}

func TestDependencies(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		for on, d := range s.DependsOn {
			target, ok := c.Services[on]
			switch {
			case !ok:
				t.Errorf("%s depends on %s, which does not exist", name, on)
			case d.Condition == "service_healthy" && target.Healthcheck == nil:
				t.Errorf("%s waits for %s to be healthy, which has no health check", name, on)
			case d.Condition == "service_completed_successfully" && target.Restart != "" && !strings.HasPrefix(target.Restart, "on-failure"):
				t.Errorf("%s waits for %s to end, which is started again", name, on)
			case d.Condition != "service_healthy" && d.Condition != "service_completed_successfully":
				t.Errorf("%s depends on %s under condition %q", name, on, d.Condition)
			}
		}
	}
	// Schema, service, namespace, ingest: each waits for the one before it.
	for _, p := range [][2]string{{"temporal-schema", "postgres"}, {"temporal", "temporal-schema"}, {"temporal-setup", "temporal"}, {"ingest", "temporal-setup"}} {
		if _, ok := c.Services[p[0]].DependsOn[p[1]]; !ok {
			t.Errorf("%s does not wait for %s", p[0], p[1])
		}
	}
}

func TestPortsAreOnLoopback(t *testing.T) {
	published := 0
	for name, s := range readCompose(t).Services {
		for _, p := range s.Ports {
			published++
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s on every address", name, p)
			}
		}
	}
	if published == 0 {
		t.Error("no port is published: the short form of ports was not understood")
	}
}

func TestReferencedFilesExist(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, ".") {
				if _, ok := c.Volumes[from]; !ok {
					t.Errorf("%s uses volume %s, which is not declared", name, from)
				}
				continue
			}
			if _, err := os.Stat(from); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if s.Build.Args["TAGS"] != "noembed" {
				t.Errorf("%s builds with the embedded server", name)
			}
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllSubmatch(read(t, "README.md"), -1) {
		if _, err := os.Stat(string(m[1])); err != nil {
			t.Errorf("README.md: %v", err)
		}
	}
}

func TestContainerIsNotRoot(t *testing.T) {
	users := regexp.MustCompile(`(?m)^USER (\S+)`).FindAllSubmatch(read(t, "../Dockerfile"), -1)
	if len(users) == 0 || regexp.MustCompile(`^(root|0)(:|$)`).Match(users[len(users)-1][1]) {
		t.Errorf("Dockerfile: USER is %q", users)
	}
}

func TestDynamicConfig(t *testing.T) {
	var got map[string][]map[string]any
	if err := yaml.Unmarshal(read(t, "dynamicconfig/ingest.yaml"), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string][]map[string]any{
		"matching.numTaskqueueReadPartitions":      {{"value": 1}},
		"matching.numTaskqueueWritePartitions":     {{"value": 1}},
		"frontend.WorkerCommandsEnabled":           {{"value": true}},
		"system.enableCancelActivityWorkerCommand": {{"value": true}},
		"frontend.namespaceRPS.visibility":         {{"value": 100}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadmeInputIsAnImportRequest(t *testing.T) {
	text := string(read(t, "README.md"))
	inputs := regexp.MustCompile(`(?s)--input '([^']*)'`).FindAllStringSubmatch(text, -1)
	if len(inputs) == 0 {
		t.Fatal("README.md shows no --input")
	}
	for _, in := range inputs {
		d := json.NewDecoder(strings.NewReader(in[1]))
		d.DisallowUnknownFields()
		var r contract.ImportRequest
		if err := d.Decode(&r); err != nil {
			t.Errorf("%v in %s", err, in[1])
		}
		if r.Source.URL == "" || r.Image.Name == "" || r.Target.Format == "" {
			t.Errorf("README.md's request lacks a source, a target or a name: %+v", r)
		}
	}
	for _, word := range []string{"--type " + contract.ImportWorkflow + " ", "--task-queue " + contract.ImportQueue + " ", "--type " + contract.ProgressQuery + " ", contract.WorkflowID("", "debian-12", "")} {
		if !strings.Contains(text, word) {
			t.Errorf("README.md does not say %q", word)
		}
	}
}

func TestReadmeSearchAttributes(t *testing.T) {
	text := string(read(t, "README.md"))
	want := contract.SearchAttributes()
	slices.Sort(want)
	for what, pattern := range map[string]string{
		"table":   "(?m)^\\| `(\\w+)` \\| Keyword \\|",
		"command": `--name (\w+) --type Keyword`,
	} {
		var got []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("search attributes of README.md's %s: %s", what, diff)
		}
	}
}

func TestReadmeStages(t *testing.T) {
	var names []string
	for _, s := range contract.Stages() {
		names = append(names, string(s))
	}
	if want := strings.Join(names, ", "); !strings.Contains(string(read(t, "README.md")), want) {
		t.Errorf("README.md does not list the stages as %q", want)
	}
}

func TestReadmeImages(t *testing.T) {
	text := string(read(t, "README.md"))
	for name, s := range readCompose(t).Services {
		if row := "| `" + name + "` | `" + s.Image + "` |"; !strings.Contains(text, row) {
			t.Errorf("README.md has no row %q", row)
		}
	}
}
