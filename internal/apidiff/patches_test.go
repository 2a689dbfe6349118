package apidiff_test

import (
	"fmt"
	"strings"
	"testing"

	"ingest/internal/apidiff"
	"ingest/internal/glancetest"
)

const (
	olderPatch = "application/openstack-images-v2.0-json-patch"
	newerPatch = "application/openstack-images-v2.1-json-patch"
)

// patchRequests make and change images in every way that Glance has an opinion about.
func patchRequests() []apidiff.Request {
	var out []apidiff.Request
	n := 0
	add := func(as apidiff.Caller, method, path, body, kind, save string) {
		n++
		r := apidiff.Request{As: as, Method: method, Path: "/v2" + path, Body: body, Save: save,
			Name: strings.TrimSpace(fmt.Sprintf("%s %s %.120s by %s", method, path, body, as.User))}
		if kind != "" {
			r.Header = map[string]string{"Content-Type": kind}
			r.Name += " as " + strings.TrimSuffix(strings.TrimPrefix(kind, "application/openstack-images-"), "-json-patch")
		}
		out = append(out, r)
	}
	create := func(body string) { add(member, "POST", "/images", body, "", "") }
	add(member, "POST", "/images", `{"name":"a","p":"1","disk_format":"raw"}`, "", "a")
	for _, body := range []string{
		`{}`, `{"name":null,"disk_format":null,"container_format":null}`, `{"visibility":"private","protected":true,"os_hidden":true,"tags":["x","x"],"min_ram":1,"min_disk":2}`,
		`{"visibility":"public"}`, `{"visibility":"community"}`, `{"visibility":"all"}`, `{"owner":"other"}`, `{"status":"active"}`, `{"checksum":"x"}`, `{"size":1}`,
		`{"created_at":"x"}`, `{"self":"x"}`, `{"file":"x"}`, `{"schema":"x"}`, `{"direct_url":"x"}`, `{"stores":"x"}`, `{"location":"x"}`, `{"deleted":"x"}`,
		`{"os_glance_x":"x"}`, `{"p":1}`, `{"p":null}`, `{"min_ram":-1}`, `{"min_ram":"1"}`, `{"protected":"yes"}`, `{"tags":"x"}`, `{"tags":[1]}`,
		`{"disk_format":"floppy"}`, `{"container_format":"box"}`, `{"id":"x"}`, `{"name":5}`, `[]`, `"x"`, `{`,
	} {
		create(body)
	}
	newer := func(as apidiff.Caller, body string) { add(as, "PATCH", "/images/${a}", body, newerPatch, "") }
	for _, op := range []string{
		`{"op":"replace","path":"/name","value":"b"}`, `{"op":"replace","path":"/name","value":null}`, `{"op":"add","path":"/name","value":"c"}`, `{"op":"remove","path":"/name"}`,
		`{"op":"add","path":"/q","value":"2"}`, `{"op":"add","path":"/q","value":"3"}`, `{"op":"replace","path":"/q","value":"4"}`, `{"op":"remove","path":"/q"}`,
		`{"op":"remove","path":"/q","value":1}`, `{"op":"replace","path":"/q","value":"5"}`, `{"op":"add","path":"/a~1b","value":"x"}`, `{"op":"add","path":"/a~0b","value":"x"}`,
		`{"op":"add","path":"/a~2b","value":"x"}`, `{"op":"add","path":"/a~","value":"x"}`, `{"op":"add","path":"q","value":"x"}`, `{"op":"add","path":"/q/","value":"x"}`,
		`{"op":"add","path":"/q/r","value":"x"}`, `{"op":"add","path":"/q//r","value":"x"}`, `{"op":"add","path":"","value":"x"}`, `{"op":"move","path":"/q","value":"x"}`,
		`{"path":"/q","value":"x"}`, `{"op":"add","value":"x"}`, `{"op":"add","path":"/q"}`, `{"op":"add","path":"/q","value":1}`, `{"op":"add","path":"/q","value":null}`,
		`{"op":"replace","path":"/tags","value":["a","b"]}`, `{"op":"replace","path":"/tags","value":"a"}`, `{"op":"add","path":"/tags","value":[]}`, `{"op":"remove","path":"/tags"}`,
		`{"op":"add","path":"/tags/-","value":"x"}`, `{"op":"replace","path":"/min_ram","value":5}`, `{"op":"replace","path":"/min_ram","value":-5}`, `{"op":"replace","path":"/min_disk","value":"5"}`,
		`{"op":"replace","path":"/protected","value":true}`, `{"op":"replace","path":"/protected","value":"true"}`, `{"op":"replace","path":"/protected","value":false}`,
		`{"op":"replace","path":"/os_hidden","value":true}`, `{"op":"replace","path":"/os_hidden","value":false}`, `{"op":"replace","path":"/visibility","value":"private"}`,
		`{"op":"replace","path":"/visibility","value":"public"}`, `{"op":"replace","path":"/visibility","value":"all"}`, `{"op":"replace","path":"/visibility","value":"shared"}`,
		`{"op":"replace","path":"/owner","value":"other"}`, `{"op":"remove","path":"/owner"}`, `{"op":"replace","path":"/disk_format","value":"qcow2"}`, `{"op":"replace","path":"/disk_format","value":"floppy"}`,
		`{"op":"replace","path":"/container_format","value":"bare"}`, `{"op":"add","path":"/container_format","value":null}`, `{"op":"remove","path":"/disk_format"}`,
		`{"op":"replace","path":"/status","value":"active"}`, `{"op":"replace","path":"/id","value":"x"}`, `{"op":"replace","path":"/checksum","value":"x"}`, `{"op":"replace","path":"/size","value":1}`,
		`{"op":"add","path":"/virtual_size","value":1}`, `{"op":"add","path":"/created_at","value":"x"}`, `{"op":"add","path":"/updated_at","value":"x"}`, `{"op":"add","path":"/direct_url","value":"x"}`,
		`{"op":"add","path":"/self","value":"x"}`, `{"op":"add","path":"/file","value":"x"}`, `{"op":"add","path":"/schema","value":"x"}`, `{"op":"remove","path":"/os_hash_algo"}`,
		`{"op":"add","path":"/location","value":"x"}`, `{"op":"add","path":"/deleted","value":"x"}`, `{"op":"remove","path":"/deleted_at"}`, `{"op":"add","path":"/os_glance_x","value":"x"}`,
		`{"op":"replace","path":"/locations","value":[]}`, `{"op":"add","path":"/locations/-","value":{"url":"http://h/i","metadata":{}}}`, `{"op":"remove","path":"/locations/0"}`, `{"op":"add","path":"/locations","value":{}}`,
		`{"op":"replace","path":"/locations/0","value":{}}`,
	} {
		newer(member, "["+op+"]")
	}
	for _, body := range []string{`[]`, `{}`, `[1]`, `"x"`, `[`, `[{"op":"add","path":"/x1","value":"x"},{"op":"remove","path":"/x1"}]`, `[{"op":"add","path":"/x2","value":"x"},{"op":"remove","path":"/x3"}]`} {
		newer(member, body)
	}
	for _, op := range []string{
		`{"replace":"/name","value":"o"}`, `{"add":"/name","value":"o"}`, `{"add":"/o","value":"1"}`, `{"add":"/o","value":"2"}`, `{"replace":"/o","value":"3"}`, `{"remove":"/o"}`,
		`{"remove":"/o","value":1}`, `{"replace":"/o","value":"4"}`, `{"replace":"/o","add":"/o","value":"4"}`, `{"op":"replace","path":"/o","value":"4"}`, `{"replace":"/o"}`, `{"replace":"/id","value":"x"}`, `{"remove":"/name"}`,
	} {
		add(member, "PATCH", "/images/${a}", "["+op+"]", olderPatch, "")
	}
	for _, kind := range []string{"application/json", "text/plain", "application/openstack-images-v2.2-json-patch"} {
		add(member, "PATCH", "/images/${a}", `[]`, kind, "")
	}
	newer(foreign, `[{"op":"replace","path":"/name","value":"x"}]`)
	add(admin, "PATCH", "/images/${a}", `[{"op":"replace","path":"/visibility","value":"public"}]`, newerPatch, "")
	newer(foreign, `[{"op":"replace","path":"/name","value":"y"}]`)
	newer(admin, `[{"op":"replace","path":"/owner","value":"other"}]`)
	add(member, "PATCH", "/images/11111111-2222-3333-4444-555555555555", `[]`, newerPatch, "")
	for _, action := range []string{"deactivate", "reactivate"} {
		add(admin, "POST", "/images/${a}/actions/"+action, "", "", "")
		add(member, "POST", "/images/11111111-2222-3333-4444-555555555555/actions/"+action, "", "", "")
		add(member, "GET", "/images/${a}/actions/"+action, "", "", "")
	}
	for _, body := range []string{
		`{}`, `{"type":"import"}`, `{"input":{}}`, `{"type":"nothing","input":{}}`, `{"type":"import","input":5}`, `[]`,
	} {
		add(admin, "POST", "/tasks", body, "", "")
		add(member, "POST", "/tasks", body, "", "")
	}
	add(admin, "GET", "/tasks?type=nothing", "", "", "")
	add(admin, "GET", "/tasks?status=nothing", "", "", "")
	add(admin, "GET", "/tasks?limit=-1", "", "", "")
	add(admin, "GET", "/tasks?limit=x", "", "", "")
	add(admin, "GET", "/tasks?marker=x", "", "", "")
	add(admin, "GET", "/tasks?sort_dir=x", "", "", "")
	add(admin, "GET", "/tasks?status=success&limit=5", "", "", "")
	add(admin, "DELETE", "/tasks/11111111-2222-3333-4444-555555555555", "", "", "")
	add(admin, "GET", "/tasks/11111111-2222-3333-4444-555555555555", "", "", "")
	return out
}

func TestPatches(t *testing.T) {
	glance := glancetest.StartTrusting(t)
	left := &apidiff.Service{Name: "Glance", URL: glance.Endpoint}
	rep, err := apidiff.Replay(left, ours(t), patchRequests(), patchDifferences())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected)+len(rep.Unseen) > 0 {
		t.Errorf("the answers differ: %v", rep)
	}
	if rep.Requests < 150 {
		t.Errorf("only %d requests were compared", rep.Requests)
	}
	t.Logf("%d requests, %d intended differences", rep.Requests, rep.Expected)
}

// patchDifferences are those that are meant.
func patchDifferences() []apidiff.Intended {
	return []apidiff.Intended{
		{Request: "POST /images {*", What: "header Openstack-Image-Import-Methods", Reason: "this server takes no uploads, which are another test's"},
		{Request: "POST /images {*", What: "header Openstack-Image-Store-Ids", Reason: "the two have other stores"},
		{Request: "POST /images [] by bob", What: "status", Reason: "Glance fails over this request; ingest refuses it"},
		{Request: "POST /tasks * by bob", What: "status", Reason: "projects see and make tasks of their own, not administrators alone"},
	}
}
