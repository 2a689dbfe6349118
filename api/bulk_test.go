package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/bulk"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// bulkScript is Bulks that remembers what it was asked.
type bulkScript struct {
	mu      sync.Mutex
	err     error
	started []contract.BulkRequest
	signals int
}

func (s *bulkScript) StartBulk(_ context.Context, req contract.BulkRequest, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = append(s.started, req)
	return s.err
}

func (s *bulkScript) SignalBulk(context.Context, string, contract.BulkSignalled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signals++
	return s.err
}

// forecasts is a Planner that accepts all but URLs with "bad" in them.
type forecasts struct{}

func (forecasts) Plan(_ context.Context, req contract.ImportRequest) (contract.Forecast, error) {
	f := contract.NewForecast()
	if strings.Contains(req.Source.URL, "away") {
		return f, errcode.New(errcode.DryRunTimedOut, "too slow")
	}
	f.Verdict, f.Time.Seconds = contract.VerdictAccepted, 4
	f.Sources = []contract.ForecastSource{{Size: 100}}
	if strings.Contains(req.Source.URL, "bad") {
		v := contract.ValueOf(errcode.New(errcode.Empty, "nothing in it"))
		f.Verdict, f.Error = contract.VerdictRefused, &v
	}
	return f, nil
}

func bulkBench(t *testing.T, adjust ...func(*Deps)) (*bench, *bulkScript) {
	s := &bulkScript{}
	return newBench(t, append(adjust, func(d *Deps) { d.Bulks, d.Planner = s, forecasts{} })...), s
}

const someManifest = `{"name":"racks","limits":{"per_host":2},"defaults":{"target":{"format":"qcow2"},"image":{"name":"{basename}-{n}"}},
 "items":[{"source":{"url":"https://example.org/a.vmdk?token=x"}},
  {"key":"b","source":{"url":"https://example.org/b.vmdk"},"priority":4},
  {"source":{"url":"https://example.org/b.vmdk"},"image":{"name":"twin"}}]}`

func TestBulkIsSubmittedShownAndChanged(t *testing.T) {
	b, s := bulkBench(t, func(d *Deps) { d.Defaults.SignedURLs = true })
	var made wire.Bulk
	a := b.do("POST", "/v1/bulk", someManifest).want(t, 202, "")
	a.into(t, &made)
	if a.Header.Get("Location") != "/v1/bulk/"+made.ID || made.Total != 3 || made.Items["pending"] != 2 || made.Items["waiting"] != 1 || len(s.started) != 1 || s.started[0].BulkID != made.ID {
		t.Errorf("made %+v, started %+v", made, s.started)
	}
	if made.Settings.Limits.PerHost != 2 || made.Settings.Breaker != bulk.StandardBreaker {
		t.Errorf("settings %+v", made.Settings)
	}
	var again wire.Bulk
	b.do("POST", "/v1/bulk", someManifest).want(t, 200, "").into(t, &again)
	if !again.Existed || again.ID != made.ID || len(s.started) != 1 {
		t.Errorf("again %+v", again)
	}
	b.do("POST", "/v1/bulk?name=racks&again=true", strings.Replace(someManifest, "twin", "other", 1)).want(t, 409, errcode.Conflict)

	var list wire.BulkItemList
	b.do("GET", "/v1/bulk/"+made.ID+"/items?limit=2", "").want(t, 200, "").into(t, &list)
	if len(list.Items) != 2 || list.Items[0].Source != "https://example.org/a.vmdk" || list.Items[0].Name != "a-1" || list.Items[1].Priority != 4 || list.Next == "" {
		t.Errorf("items %+v", list)
	}
	next := list.Next
	list = wire.BulkItemList{}
	b.do("GET", next, "").want(t, 200, "").into(t, &list)
	if len(list.Items) != 1 || list.Items[0].SameAs != 2 || list.Items[0].State != "waiting" || list.Next != "" {
		t.Errorf("second page %+v", list)
	}
	for _, c := range []struct {
		method, path, body, status string
		signals                    int
	}{
		{"POST", "/pause", "", "paused", 1},
		{"POST", "/pause", "", "paused", 1}, // nothing has changed
		{"PATCH", "", `{"limits":{"concurrency":7}}`, "paused", 2},
		{"PATCH", "", `{"limits":{"bandwidth":"2MiB","bandwidth_per_host":4096}}`, "paused", 3},
		{"POST", "/resume", "", "running", 4},
		{"POST", "/cancel", "", "cancelling", 5},
		{"POST", "/cancel?abort=true", "", "aborting", 6},
	} {
		var got wire.Bulk
		b.do(c.method, "/v1/bulk/"+made.ID+c.path, c.body).want(t, 202, "").into(t, &got)
		if got.Status != c.status || s.signals != c.signals {
			t.Errorf("%s %s: %s after %d signals", c.method, c.path, got.Status, s.signals)
		}
	}
	var shown wire.Bulk
	b.do("GET", "/v1/bulk/"+made.ID, "").want(t, 200, "").into(t, &shown)
	if l := shown.Settings.Limits; l.Concurrency != 7 || l.PerHost != 2 || l.Bandwidth != 2<<20 || l.BandwidthPerHost != 4096 {
		t.Errorf("settings %+v", shown.Settings)
	}
	b.do("POST", "/v1/bulk/"+made.ID+"/pause", "").want(t, 409, errcode.Conflict)
	b.do("POST", "/v1/bulk/"+made.ID+"/cancel?abort=maybe", "").want(t, 400, errcode.BadRequest)
	b.do("PATCH", "/v1/bulk/"+made.ID, `{"limit":{}}`).want(t, 400, errcode.BadRequest)
	b.do("PATCH", "/v1/bulk/"+made.ID, `{"limits":{"bandwidth":"fast"}}`).want(t, 400, errcode.BadRequest)
	b.do("GET", "/v1/bulk?name=racks", "").want(t, 200, "")
	b.do("GET", "/v1/schemas/bulk", "").want(t, 200, "")
}

func TestBulkThatCannotBeStartedIsKept(t *testing.T) {
	b, s := bulkBench(t)
	s.err = errcode.New(errcode.WorkflowService, "away")
	var made wire.Bulk
	b.do("POST", "/v1/bulk", `{"items":[{"source":{"url":"https://h/a"}}]}`).want(t, 202, "").into(t, &made)
	if made.Notice == "" {
		t.Errorf("made %+v", made)
	}
	b.do("POST", "/v1/bulk/"+made.ID+"/pause", "").want(t, 202, "")
	if kept, err := b.cat.Bulk(t.Context(), made.ID); err != nil || kept.Status != metadata.BulkPaused || kept.Told != 0 {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

func TestRefusedManifests(t *testing.T) {
	b, _ := bulkBench(t)
	for _, c := range []struct {
		name, kind, query, body string
		status                  int
		code                    errcode.Code
		says                    string
	}{
		{"no items", "", "", `{"items":[]}`, 400, errcode.BadRequest, "no items"},
		{"another kind", "text/plain", "", "x", 400, errcode.BadRequest, "text/csv"},
		{"a scheme", "", "", "{\"items\":[\n{\"source\":{\"url\":\"https://h/a\"}},\n{\"source\":{\"url\":\"gopher://h/a\"}}]}", 400, errcode.SourceScheme, "line 3, item 2"},
		{"a target", "application/yaml", "", "items:\n- source: {url: https://h/a}\n  target: {format: zip}\n", 400, "", "line 2, item 1"},
		{"a window", "", "?window=soon", `{"items":[{"source":{"url":"https://h/a"}}]}`, 400, errcode.BadRequest, "window"},
		{"a parameter", "", "?windw=x", `{"items":[{"source":{"url":"https://h/a"}}]}`, 400, errcode.BadRequest, "parameter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var head []string
			if c.kind != "" {
				head = []string{"Content-Type", c.kind}
			}
			a := b.do("POST", "/v1/bulk"+c.query, c.body, head...)
			if a.StatusCode != c.status || !bytes.Contains(a.body, []byte(c.says)) || !bytes.Contains(a.body, []byte(c.code)) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	if all, err := b.cat.Bulks(t.Context(), metadata.BulkFilter{}); err != nil || len(all) != 0 {
		t.Errorf("of refused manifests there are %v, %v", all, err)
	}
	newBench(t).do("POST", "/v1/bulk", someManifest).want(t, 404, errcode.NotFound)
}

func TestBulkPlan(t *testing.T) {
	b, s := bulkBench(t)
	a := b.do("POST", "/v1/bulk?dry_run=true&concurrency=2", "url,key\nhttps://h/good,one\nhttps://h/bad,two\nhttps://h/away,three\nhttps://h/good,four\n", "Content-Type", "text/csv").want(t, 200, "")
	lines := bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
	var last wire.BulkPlanLine
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || len(lines) != 5 || last.Summary == nil {
		t.Fatalf("%s", a.body)
	}
	sum := *last.Summary
	if sum.Items != 4 || sum.Accepted != 1 || sum.Refused != 1 || sum.Unknown != 1 || sum.Duplicates != 1 || sum.Bytes != 100 || sum.Seconds != 2 ||
		sum.Codes["IMG_EMPTY"] != 1 || len(s.started) != 0 {
		t.Errorf("summary %+v", sum)
	}
}

// A report is read by people and spreadsheets, and what stands in a manifest is nobody's
// script and no formula.
func TestBulkReports(t *testing.T) {
	b, _ := bulkBench(t)
	var made wire.Bulk
	b.do("POST", "/v1/bulk", `{"name":"<script>","items":[{"key":"=cmd()","source":{"url":"https://h/a"},"image":{"name":"<b>x</b>"}},{"source":{"url":"https://h/b"}}]}`).want(t, 202, "").into(t, &made)
	got, err := b.cat.StepBulk(t.Context(), made.ID, metadata.BulkStepper{Now: time.Now(), Most: 9, Default: 9, Prepare: func(bb metadata.Bulk, it metadata.BulkItem) (metadata.NewImport, error) {
		id := fmt.Sprintf("task-%d", it.N)
		return metadata.NewImport{Task: metadata.Task{ID: id, Owner: bb.Owner, ImageID: "image-" + id, Request: it.Request}}, nil
	}})
	if err != nil || len(got.Begun) != 2 {
		t.Fatal(got, err)
	}
	if err := b.cat.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.Empty, Message: "nothing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.cat.StepBulk(t.Context(), made.ID, metadata.BulkStepper{Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	page := b.do("GET", "/v1/bulk/"+made.ID+"/report?format=html", "").want(t, 200, "")
	for _, text := range []string{"&lt;script&gt;", "&lt;b&gt;x&lt;/b&gt;", "IMG_EMPTY", "<svg"} {
		if !bytes.Contains(page.body, []byte(text)) {
			t.Errorf("the page lacks %s", text)
		}
	}
	if bytes.Contains(page.body, []byte("<script")) || !strings.Contains(page.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Error("the page can run something")
	}
	table := b.do("GET", "/v1/bulk/"+made.ID+"/report?format=csv", "").want(t, 200, "")
	if !bytes.Contains(table.body, []byte("1,'=cmd(),failed,")) {
		t.Errorf("table: %s", table.body)
	}
	var rep wire.BulkReport
	b.do("GET", "/v1/bulk/"+made.ID+"/report", "").want(t, 200, "").into(t, &rep)
	if len(rep.Items) != 2 || rep.Bulk.ID != made.ID {
		t.Errorf("report %+v", rep)
	}
	b.do("GET", "/v1/bulk/"+made.ID+"/report?format=pdf", "").want(t, 400, errcode.BadRequest)
}

func TestAccessToBulks(t *testing.T) {
	b, _ := bulkBench(t, func(d *Deps) { d.Identity = proven{} })
	const manifest = `{"items":[{"source":{"url":"https://h/a"}}]}`
	b.do("POST", "/v1/bulk", manifest, rolesHeader("red", "reader")...).want(t, 403, errcode.Forbidden)
	b.do("POST", "/v1/bulk?dry_run=1", manifest, rolesHeader("red", "reader")...).want(t, 403, errcode.Forbidden)
	var made wire.Bulk
	b.do("POST", "/v1/bulk", manifest, rolesHeader("red", "member")...).want(t, 202, "").into(t, &made)
	for _, c := range []struct {
		project, role string
		read, change  int
	}{{"red", "reader", 200, 403}, {"blue", "member", 404, 404}, {"blue", "admin", 200, 202}, {"red", "member", 200, 202}} {
		for _, tail := range []string{"", "/items", "/report"} {
			if got := b.do("GET", "/v1/bulk/"+made.ID+tail, "", rolesHeader(c.project, c.role)...); got.StatusCode != c.read {
				t.Errorf("%s of %s reads %q: %d", c.role, c.project, tail, got.StatusCode)
			}
		}
		for _, do := range []string{"/pause", "/resume"} {
			if got := b.do("POST", "/v1/bulk/"+made.ID+do, "", rolesHeader(c.project, c.role)...); got.StatusCode != c.change {
				t.Errorf("%s of %s asks for %s: %d", c.role, c.project, do, got.StatusCode)
			}
		}
		if got := b.do(http.MethodPatch, "/v1/bulk/"+made.ID, `{}`, rolesHeader(c.project, c.role)...); got.StatusCode != c.change {
			t.Errorf("%s of %s sets: %d", c.role, c.project, got.StatusCode)
		}
	}
	var list wire.BulkList
	b.do("GET", "/v1/bulk", "", rolesHeader("blue", "member")...).want(t, 200, "").into(t, &list)
	if len(list.Bulks) != 0 {
		t.Errorf("another project sees %+v", list)
	}
}

// TestBandwidthOfBulks is taken with units from manifests and queries, and shown as bytes.
func TestBandwidthOfBulks(t *testing.T) {
	b, _ := bulkBench(t)
	var made wire.Bulk
	b.do("POST", "/v1/bulk?bandwidth=64MiB/s&bandwidth_per_store=0&bandwidth_per_project=1GiB",
		`{"limits":{"bandwidth":"1MiB","bandwidth_per_host":"3KiB","bandwidth_per_store":8192},"items":[{"source":{"url":"https://h/a"},"bandwidth":"5KiB"}]}`).want(t, 202, "").into(t, &made)
	want := metadata.BulkLimits{Bandwidth: 64 << 20, BandwidthPerHost: 3 << 10, BandwidthPerProject: 1 << 30}
	if made.Settings.Limits != want {
		t.Errorf("limits %+v, want %+v", made.Settings.Limits, want)
	}
	items, err := b.cat.BulkItems(t.Context(), made.ID, metadata.ItemFilter{})
	if err != nil || !strings.Contains(string(items[0].Request), `"bandwidth":5120`) {
		t.Errorf("items %+v, %v", items, err)
	}
	for _, query := range []string{"bandwidth=fast", "bandwidth_per_host=-1", "bandwidth_per_store=12", "bandwidth_per_project="} {
		b.do("POST", "/v1/bulk?"+query, `{"items":[{"source":{"url":"https://h/b"}}]}`).want(t, 400, errcode.BadRequest)
	}
	page := string(b.do("GET", "/v1/bulk/"+made.ID+"/report?format=html", "").want(t, 200, "").body)
	if !strings.Contains(page, "64MiB/s, 3KiB/s a host, 1GiB/s a project") {
		t.Error("the report does not say what the limits are")
	}
}

// TestBandwidthOfImports is a part of the request.
func TestBandwidthOfImports(t *testing.T) {
	b, _ := bulkBench(t)
	var sub wire.Submitted
	b.do("POST", "/v1/imports", `{"source":{"url":"https://h/a"},"bandwidth":"20MiB"}`).want(t, 202, "").into(t, &sub)
	task, err := b.cat.Task(t.Context(), sub.TaskID)
	if err != nil || !strings.Contains(string(task.Request), `"bandwidth":20971520`) {
		t.Errorf("request %s, %v", task.Request, err)
	}
	for _, wrong := range []string{`"fast"`, `1023`, `-1`, `[1]`} {
		b.do("POST", "/v1/imports", `{"source":{"url":"https://h/a"},"bandwidth":`+wrong+`}`).want(t, 400, errcode.BadRequest)
	}
}
