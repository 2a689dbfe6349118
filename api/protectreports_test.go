package api

import (
	"encoding/json"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// What the stages have found, what the policy has said of it, and the record of where an
// image comes from tell nobody of properties that they may not read.
func TestReportsDoNotTellOfProtectedProperties(t *testing.T) {
	b := newBench(t, withProtections(t, someProtections))
	member, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	s := b.submit(`{"source":{"url":"https://h/i"}}`, admin...)
	ctx := t.Context()
	if err := b.cat.Start(ctx, s.TaskID); err != nil {
		t.Fatal(err)
	}
	verdict := contract.PolicyVerdict{Rule: "defaults.guest", Outcome: "deny", Code: errcode.PolicyGuest, Subject: "x_secret_key hush", Message: "x_secret_key is hush",
		Evidence: &errcode.Evidence{Structure: "policy", Field: "defaults.guest.x_secret_key", Value: "hush"}}
	other := contract.PolicyVerdict{Rule: "defaults.limits", Outcome: "allow", Subject: "size", Message: "small"}
	// The verdict stands before the report that it speaks of.
	for stage, detail := range map[string]any{
		contract.PolicyStage:           contract.PolicyReport{Point: "validate", Verdicts: []contract.PolicyVerdict{verdict, other}},
		string(contract.StageValidate): map[string]any{"guest": map[string]any{"facts": map[string]any{"properties": map[string]string{"x_secret_key": "hush", "os_distro": "debian"}}}, "big": json.Number("9007199254740993")},
	} {
		if err := b.cat.AddReport(ctx, s.TaskID, "", stage, detail); err != nil {
			t.Fatal(err)
		}
	}
	err := b.cat.Activate(ctx, metadata.Activation{TaskID: s.TaskID, Result: json.RawMessage(`{}`), Images: []metadata.ImageActivation{{
		ImageID: s.ImageID, DiskFormat: "raw", ContainerFormat: "bare", Size: 1, VirtualSize: 1, Store: "local", Key: "k",
		Provenance: json.RawMessage(`{"predicate":{"guest":{"facts":{"properties":{"x_secret_key":"hush"}}}}}`),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/tasks/" + s.TaskID + "/events", "/v1/tasks/" + s.TaskID + "/policy"} {
		shown := string(b.do("GET", path, "", member...).want(t, 200, "").body)
		if strings.Contains(shown, "hush") || strings.Contains(shown, "x_secret_key") || !strings.Contains(shown, "small") {
			t.Errorf("%s tells: %s", path, shown)
		}
		if whole := string(b.do("GET", path, "", admin...).want(t, 200, "").body); !strings.Contains(whole, "x_secret_key is hush") {
			t.Errorf("%s does not tell who may read it: %s", path, whole)
		}
	}
	events := string(b.do("GET", "/v1/tasks/"+s.TaskID+"/events", "", member...).body)
	if !strings.Contains(events, `"os_distro":"debian"`) || !strings.Contains(events, "9007199254740993") {
		t.Errorf("more is missing than what may not be read: %s", events)
	}
	record := "/v1/images/" + s.ImageID + "/provenance"
	b.do("GET", record, "", member...).want(t, 403, errcode.Forbidden)
	b.do("GET", record, "", admin...).want(t, 200, "")
}

// What the policy has said of properties that the request gave is hidden, too: no stage
// has found them. So is a step's message that names one.
func TestReportsDoNotTellOfGivenProperties(t *testing.T) {
	b := newBench(t, withProtections(t, someProtections))
	member, admin := rolesHeader("red", "member"), rolesHeader("red", "admin")
	s := b.submit(`{"source":{"url":"https://h/i"},"image":{"properties":{"x_secret_key":"hush"}}}`, admin...)
	verdict := contract.PolicyVerdict{Rule: "defaults.properties", Outcome: "deny", Code: errcode.PolicyGuest, Subject: "x_secret_key hush", Message: "x_secret_key is hush"}
	if err := b.cat.AddReport(t.Context(), s.TaskID, "", contract.PolicyStage, contract.PolicyReport{Point: "request", Verdicts: []contract.PolicyVerdict{verdict}}); err != nil {
		t.Fatal(err)
	}
	if err := b.cat.SetStage(t.Context(), s.TaskID, metadata.Event{Stage: "validate", Message: "x_secret_key is hush"}); err != nil {
		t.Fatal(err)
	}
	err := b.cat.Fail(t.Context(), s.TaskID, metadata.TaskError{Code: errcode.PolicyGuest, Stage: "validate", Message: "x_secret_key is hush"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/events", "/policy"} {
		path = "/v1/tasks/" + s.TaskID + path
		if shown := string(b.do("GET", path, "", member...).want(t, 200, "").body); strings.Contains(shown, "hush") || strings.Contains(shown, "x_secret_key") {
			t.Errorf("%s tells: %s", path, shown)
		}
		if whole := string(b.do("GET", path, "", admin...).want(t, 200, "").body); !strings.Contains(whole, "x_secret_key is hush") {
			t.Errorf("%s does not tell who may read it: %s", path, whole)
		}
	}
}
