package workflows_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ingest/activities"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/internal/policy"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/stores/fs"
)

// rulesOf parses a policy.
func rulesOf(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, problems := policy.Parse("policy.yaml", []byte(text))
	if p == nil {
		t.Fatalf("%+v", problems)
	}
	return p
}

// benchJudged is a bench whose imports are judged by a policy.
func benchJudged(b *bench, rules string) *bench {
	p := rulesOf(b.t, rules)
	return benchWith(b.t, b.repo, "", func(d *activities.Deps) {
		d.Steps, d.Policy = b.steps, func() *policy.Policy { return p }
	})
}

// realJudged puts a bench on a real data path, under a policy that may change.
func realJudged(t *testing.T, root string, steps func(*pipeline.Pipeline) pipeline.Steps, current func() *policy.Policy) (*bench, *pipeline.Pipeline, *fs.Store) {
	t.Helper()
	b, p, store := realBench(t, root)
	*b = *benchWith(t, b.repo, "", func(d *activities.Deps) { d.Steps, d.Log, d.Policy = steps(p), zerolog.Nop(), current })
	return b, p, store
}

// reports lists what the policy said of the task.
func (b *bench) policyReports(taskID string) []contract.PolicyReport {
	b.t.Helper()
	events, err := b.cat.Events(context.Background(), taskID)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []contract.PolicyReport
	for _, e := range events {
		if e.Kind != metadata.EventReport || e.Stage != contract.PolicyStage {
			continue
		}
		var rep contract.PolicyReport
		if err := json.Unmarshal(e.Detail, &rep); err != nil {
			b.t.Fatal(err)
		}
		out = append(out, rep)
	}
	return out
}

// changing is a data path that calls a function once everything is stored.
type changing struct {
	*pipeline.Pipeline
	stored func()
}

// Commit implements pipeline.Steps.
func (c *changing) Commit(ctx context.Context, p contract.StoreParams) (contract.Stored, error) {
	out, err := c.Pipeline.Commit(ctx, p)
	if err == nil {
		c.stored()
	}
	return out, err
}

const openRules = "version: 1\ndefaults:\n  sources: any\n"

// An import is denied at each of the three points, by the rules that are in force
// then, and nothing of it stays.
func TestPolicyDeniesAtEachPoint(t *testing.T) {
	disk := imgtest.Random(1, 4<<20, 1<<20)
	for _, c := range []struct {
		name, rules string // before anything is stored
		later       string // once everything is
		code        errcode.Code
		stage       contract.Stage
		points      []string
	}{
		{"submission", "version: 1\ndefaults:\n  sources:\n    - {action: allow, scheme: https}\n", "",
			errcode.PolicySource, contract.StageRegister, []string{contract.PolicySubmission}},
		{"validation", "version: 1\ndefaults:\n  limits: {virtual_size: 1MiB}\n", "",
			errcode.PolicyLimit, contract.StageValidate, []string{contract.PolicySubmission, contract.PolicyValidation}},
		{"activation", openRules, "version: 1\nprojects:\n  p1:\n    require: [{need: signature}]\n",
			errcode.PolicyUnverified, contract.StageActivate, []string{contract.PolicySubmission, contract.PolicyValidation, contract.PolicyActivation}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			current := rulesOf(t, c.rules)
			stored := false
			b, p, store := realJudged(t, dir, func(p *pipeline.Pipeline) pipeline.Steps {
				return &changing{p, func() {
					stored = true
					if c.later != "" {
						current = rulesOf(t, c.later)
					}
				}}
			}, func() *policy.Policy { return current })
			r := request
			r.Source = contract.SourceSpec{URL: rawIn(t, dir, disk)}
			_, err := b.run(r)
			v := ended(t, err)
			if v.Code != c.code || !strings.Contains(v.Message, "policy.yaml:") || v.Remedy == "" {
				t.Errorf("ended with %+v", v)
			}
			task, err := b.cat.Task(t.Context(), taskID)
			if err != nil {
				t.Fatal(err)
			}
			if task.Status != metadata.TaskFailure || task.Error.Code != c.code || task.Error.Stage != string(c.stage) {
				t.Errorf("task %s, %+v", task.Status, task.Error)
			}
			objects, others := left(t, p, store)
			if len(objects) != 0 || len(others) != 0 || stored != (c.stage == contract.StageActivate) {
				t.Errorf("left %v, %v; stored %v", objects, others, stored)
			}
			img, err := b.cat.Image(t.Context(), imageID)
			if err != nil || img.Status != metadata.ImageQueued || img.Key != "" {
				t.Errorf("image %+v, %v", img, err)
			}
			reps := b.policyReports(taskID)
			if len(reps) != len(c.points) {
				t.Fatalf("%d reports, want %v", len(reps), c.points)
			}
			for i, rep := range reps {
				if _, denied := rep.Denied(); rep.Point != c.points[i] || denied != (i == len(reps)-1) || rep.Digest == "" || rep.Project != "p1" {
					t.Errorf("report %d: %+v", i, rep)
				}
			}
			if last := reps[len(reps)-1]; last.Digest != current.Digest() {
				t.Errorf("the report names the policy %s, in force is %s", last.Digest, current.Digest())
			}
		})
	}
}

// rawIn writes a raw disk below a folder.
func rawIn(t *testing.T, dir string, d *imgtest.Disk) string {
	t.Helper()
	path := filepath.Join(dir, "disk.raw")
	if err := os.Rename(imgtest.WriteRaw(t, d), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two projects get different verdicts and properties of the same policy, and a
// role is exempt.
func TestPolicyOfProjectsAndRoles(t *testing.T) {
	const rules = `version: 1
defaults:
  limits: {virtual_size: 1MiB}
  exempt: {image_admin: all}
  properties:
    hw_disk_bus: scsi
    note: {value: checked, override: true}
projects:
  p2:
    limits: {virtual_size: 1GiB}
`
	disk := imgtest.Random(1, 4<<20, 1<<20)
	for _, c := range []struct {
		name, owner string
		roles       []string
		code        errcode.Code
	}{
		{"p1", "p1", nil, errcode.PolicyLimit},
		{"p2", "p2", nil, ""},
		{"p1 as admin", "p1", []string{"image_admin"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			b, _, _ := realJudged(t, dir, func(p *pipeline.Pipeline) pipeline.Steps { return p }, func() *policy.Policy { return rulesOf(t, rules) })
			r := request
			r.Owner, r.Roles = c.owner, c.roles
			r.Image.Properties = map[string]string{"hw_disk_bus": "sata", "note": "mine"}
			r.Source = contract.SourceSpec{URL: rawIn(t, dir, disk)}
			got, err := b.run(r)
			if c.code != "" {
				if v := ended(t, err); v.Code != c.code {
					t.Errorf("ended with %+v", v)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			img, err := b.cat.Image(t.Context(), got.Images[0].ImageID)
			if err != nil || img.Properties["hw_disk_bus"] != "sata" || img.Properties["note"] != "checked" {
				t.Errorf("properties %v, %v", img.Properties, err)
			}
			exempt := false
			for _, rep := range b.policyReports(got.TaskID) {
				for _, v := range rep.Verdicts {
					exempt = exempt || v.Exempt == "image_admin"
				}
			}
			if exempt != (len(c.roles) > 0) {
				t.Errorf("exempt: %v", exempt)
			}
		})
	}
}

// An OVA whose manifest does not fit is refused, unless its code is soft: then the
// finding is a warning in the report, and the policy says so.
func TestSoftCodeLetsAnImportPass(t *testing.T) {
	for name, c := range map[string]struct {
		rules string
		code  errcode.Code
	}{
		"hard": {"version: 1\n", errcode.OVAManifest},
		"soft": {"version: 1\nprojects: {p1: {codes: {soft: [IMG_OVA_MANIFEST_MISMATCH]}}}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b, p, store := realJudged(t, dir, func(p *pipeline.Pipeline) pipeline.Steps { return p }, func() *policy.Policy { return rulesOf(t, c.rules) })
			path := ovaOf(t, dir, p, imgtest.Random(1, 4<<20, 1<<20))
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			i := strings.Index(string(raw), ".ovf)= ")
			if i < 0 {
				t.Fatal("the OVA has no manifest")
			}
			digit := &raw[i+len(".ovf)= ")]
			if *digit == '0' {
				*digit = '1'
			} else {
				*digit = '0'
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			r := request
			r.Source = contract.SourceSpec{URL: path}
			_, err = b.run(r)
			objects, _ := left(t, p, store)
			if c.code != "" {
				if v := ended(t, err); v.Code != c.code || len(objects) != 0 {
					t.Errorf("ended with %+v, left %v", v, objects)
				}
				return
			}
			if err != nil || len(objects) != 1 {
				t.Fatalf("%v, stored %v", err, objects)
			}
			warned := false
			for _, rep := range b.policyReports(taskID) {
				for _, v := range rep.Verdicts {
					warned = warned || v.Outcome == contract.PolicyWarn && v.Code == errcode.OVAManifest
				}
			}
			if !warned {
				t.Errorf("no warning: %+v", b.policyReports(taskID))
			}
		})
	}
}
