package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/policy"
	"ingest/metadata"
)

// A request that the policy denies is answered with the rule, and nothing is
// recorded; another project's rules are another matter. What was said of a task
// can be asked for.
func TestPolicyOfRequests(t *testing.T) {
	p, problems := policy.Parse("policy.yaml", []byte(`version: 1
defaults:
  sources:
    - {action: allow, host: good.example.org}
projects:
  open: {sources: any}
`))
	if p == nil {
		t.Fatal(problems)
	}
	b := newBench(t, func(d *Deps) { d.Policy = func() *policy.Policy { return p } })
	const elsewhere = `{"source":{"url":"https://evil.example.org/a.qcow2?key=s3cret"}}`
	var e wire.ErrorBody
	b.do("POST", "/v1/imports", elsewhere).want(t, 403, errcode.PolicySource).into(t, &e)
	if ev := e.Error.Evidence; ev == nil || ev.Field != "defaults.sources" || ev.Value != "https://evil.example.org/a.qcow2" {
		t.Errorf("evidence %+v", ev)
	}
	b.do("POST", "/v1/imports?dry_run=true", elsewhere).want(t, 403, errcode.PolicySource)
	b.do("POST", "/v1/imports", `{"roles":["admin"],"source":{"url":"https://good.example.org/a"}}`).want(t, 403, errcode.Forbidden)
	if tasks, err := b.cat.Tasks(t.Context(), metadata.TaskFilter{}); err != nil || len(tasks) != 0 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	b.do("POST", "/v1/imports", elsewhere, "X-Project-Id", "open").want(t, 202, "")

	var sub wire.Submitted
	b.do("POST", "/v1/imports", `{"source":{"url":"https://good.example.org/a.qcow2"}}`).want(t, 202, "").into(t, &sub)
	path := "/v1/tasks/" + sub.TaskID + "/policy"
	var got wire.TaskPolicy
	b.do("GET", path, "").want(t, 200, "").into(t, &got)
	if got.Reports == nil || len(got.Reports) != 0 || got.DeniedBy != nil {
		t.Errorf("before it was asked: %+v", got)
	}
	// The stage was run twice; the last time counts.
	deny := contract.PolicyVerdict{Rule: "r", Outcome: contract.PolicyDeny, Code: errcode.PolicyLimit}
	for _, rep := range []contract.PolicyReport{
		{Point: contract.PolicySubmission, Digest: "1"},
		{Point: contract.PolicyValidation, Digest: "1"},
		{Point: contract.PolicyValidation, Digest: "2", Verdicts: []contract.PolicyVerdict{deny}},
	} {
		if err := b.cat.AddReport(t.Context(), sub.TaskID, "", contract.PolicyStage, rep); err != nil {
			t.Fatal(err)
		}
	}
	b.do("GET", path, "").want(t, 200, "").into(t, &got)
	if len(got.Reports) != 2 || got.Reports[1].Digest != "2" || got.DeniedBy == nil || got.DeniedBy.Rule != "r" {
		t.Errorf("%+v", got)
	}
	b.do("GET", path, "", "X-Project-Id", "open").want(t, 404, errcode.NotFound)
}

// A copy is judged by the stores that it names, and not by a source.
func TestPolicyOfCopies(t *testing.T) {
	p, problems := policy.Parse("policy.yaml", []byte("version: 1\ndefaults:\n  sources: []\n  stores: [fast]\n"))
	if p == nil {
		t.Fatal(problems)
	}
	var rules *policy.Policy
	b := newBench(t, threeStores, func(d *Deps) { d.Policy = func() *policy.Policy { return rules } })
	id := b.copied("bytes")
	rules = p
	path := "/v2/images/" + id + "/import"
	b.do("POST", path, `{"method":{"name":"copy-image"},"stores":["fast","cloud"]}`).want(t, 403, errcode.PolicyStore)
	b.do("POST", path, `{"method":{"name":"copy-image"},"stores":["fast"]}`).want(t, 202, "")
}

// The roles of who sends an image's bytes count as those of who has them fetched.
func TestPolicyOfUploadsKnowsRoles(t *testing.T) {
	p, problems := policy.Parse("policy.yaml", []byte("version: 1\ndefaults:\n  source_formats: [qcow2]\n  exempt: {trusted: all}\n"))
	if p == nil {
		t.Fatal(problems)
	}
	b := newUploadBench(t, func(d *Deps) {
		d.Identity = proven{}
		d.Policy = func() *policy.Policy { return p }
	})
	for _, what := range []string{"/file", "/stage"} {
		path := "/v2/images/" + b.imageID(rawImage, rolesHeader("red", "member")...) + what
		b.put(path, strings.NewReader("x"), rolesHeader("red", "member")...).want(t, 403, errcode.PolicyFormat)
		b.put(path, strings.NewReader("x"), rolesHeader("red", "member,trusted")...).want(t, 204, "")
	}
}

// The roles of who submits a bulk count for its items, when they are judged and later on.
func TestPolicyOfBulksKnowsRoles(t *testing.T) {
	p, problems := policy.Parse("policy.yaml", []byte("version: 1\ndefaults:\n  sources:\n    - {action: allow, host: good.example.org}\n  exempt: {trusted: all}\n"))
	if p == nil {
		t.Fatal(problems)
	}
	b, bulks := bulkBench(t, func(d *Deps) {
		d.Identity = proven{}
		d.Policy = func() *policy.Policy { return p }
	})
	const manifest = `{"items":[{"source":{"url":"https://elsewhere.example.org/a"}}]}`
	if a := b.do("POST", "/v1/bulk", manifest, rolesHeader("red", "member")...); a.StatusCode != 403 {
		t.Errorf("a member's: status %d", a.StatusCode)
	}
	b.do("POST", "/v1/bulk", manifest, rolesHeader("red", "member,trusted")...).want(t, 202, "")
	items, err := b.cat.BulkItems(t.Context(), bulks.started[0].BulkID, metadata.ItemFilter{})
	if err != nil || len(items) != 1 {
		t.Fatalf("%+v, %v", items, err)
	}
	var req contract.ImportRequest
	if err := json.Unmarshal(items[0].Request, &req); err != nil || !slices.Equal(req.Roles, []string{"member", "trusted"}) {
		t.Errorf("the item is asked for as %+v, %v", req.Roles, err)
	}
	// The same once more is the same, whatever its roles are by now.
	b.do("POST", "/v1/bulk", manifest, rolesHeader("red", "trusted,member")...).want(t, 200, "")
}
