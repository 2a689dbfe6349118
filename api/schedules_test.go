package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// rota is Schedules that remembers what it was told.
type rota struct {
	told []string
	err  error
	from time.Time
}

func (r *rota) Tell(_ context.Context, id string) error {
	r.told = append(r.told, id)
	return r.err
}

func (r *rota) Next(context.Context, string) ([]time.Time, error) {
	return []time.Time{time.Unix(1800000000, 0).UTC()}, r.err
}

func (r *rota) Backfill(_ context.Context, _ string, from, _ time.Time) (int, error) {
	r.from = from
	return 3, r.err
}

const someSchedule = `{"name":"golden","trust":"digest","timing":{"cron":["30 4 * * *"],"time_zone":"Europe/Berlin"},
	"import":{"source":{"url":"https://h/golden-*.img"},"image":{"name":"golden"}}}`

func scheduleBench(t *testing.T, adjust ...func(*Deps)) (*bench, *rota) {
	r := &rota{}
	return newBench(t, append(adjust, func(d *Deps) { d.Schedules = r })...), r
}

func TestSchedules(t *testing.T) {
	b, service := scheduleBench(t)
	var made, shown wire.Schedule
	a := b.do("POST", "/v1/schedules", someSchedule).want(t, 201, "")
	a.into(t, &made)
	path := "/v1/schedules/" + made.ID
	if a.Header.Get("Location") != path || made.Pending || made.Spec.Import.Source.ChecksumFile != "auto" || made.Spec.Order != contract.OrderVersion || *made.Spec.Keep != 2 {
		t.Errorf("made %+v", made)
	}
	b.do("POST", "/v1/schedules", someSchedule).want(t, 409, errcode.Conflict)
	b.do("GET", path, "").want(t, 200, "").into(t, &shown)
	if len(shown.Next) != 1 || shown.Notice != "" {
		t.Errorf("shown %+v", shown)
	}
	var list wire.ScheduleList
	b.do("GET", "/v1/schedules", "").want(t, 200, "").into(t, &list)
	if len(list.Schedules) != 1 || list.Schedules[0].ID != made.ID {
		t.Errorf("listed %+v", list)
	}

	service.err = errcode.New(errcode.WorkflowService, "away")
	b.do("POST", path+"/pause", `{"note":"their mirror is broken"}`).want(t, 200, "").into(t, &shown)
	if !shown.Paused || !shown.Pending || shown.Note == "" || shown.Notice != untoldNotice {
		t.Errorf("paused %+v", shown)
	}
	b.do("POST", path+"/backfill", `{"from":`+time.Now().Add(-time.Hour).UTC().Format(`"2006-01-02T15:04:05Z"`)+`,"to":`+time.Now().UTC().Format(`"2006-01-02T15:04:05Z"`)+`}`).want(t, 503, errcode.WorkflowService)
	service.err = nil
	b.do("POST", path+"/resume", "").want(t, 200, "")
	now := time.Now().UTC()
	b.do("POST", path+"/backfill", fmt.Sprintf(`{"from":%q,"to":%q}`, now.Add(-time.Hour).Format(time.RFC3339), now.Format(time.RFC3339))).want(t, 202, "")
	b.do("POST", path+"/backfill", `{}`).want(t, 400, errcode.BadRequest)
	b.do("POST", path+"/rollback", "").want(t, 409, errcode.Conflict)
	b.do("POST", path+"/rollback", `{"to":"x"}`).want(t, 404, errcode.NotFound)

	b.do("DELETE", path, "").want(t, 204, "")
	b.do("GET", path, "").want(t, 404, errcode.NotFound)
	if len(service.told) != 4 {
		t.Errorf("the service was told %d times", len(service.told))
	}
}

// A run that is asked for by hand is a task before its workflow is started.
func TestTriggerSchedule(t *testing.T) {
	b, _ := scheduleBench(t)
	b.imports.startErr = errcode.New(errcode.WorkflowService, "away")
	var made wire.Schedule
	b.do("POST", "/v1/schedules", someSchedule).want(t, 201, "").into(t, &made)
	var sub wire.Submitted
	b.do("POST", "/v1/schedules/"+made.ID+"/trigger", "").want(t, 202, "").into(t, &sub)
	if sub.Started || sub.Notice == "" || !strings.HasPrefix(sub.WorkflowID, "reimport/") {
		t.Errorf("%+v", sub)
	}
	if name, arg := b.imports.started[0].Workflow(); name != contract.ReimportWorkflow || arg.(contract.ReimportRequest) != (contract.ReimportRequest{ScheduleID: made.ID, TaskID: sub.TaskID}) {
		t.Errorf("started %s with %+v", name, arg)
	}
	for _, how := range []string{"pause", "resume"} {
		b.do("POST", "/v1/tasks/"+sub.TaskID+"/"+how, "").want(t, 409, errcode.Conflict)
	}
	if err := b.cat.Fail(t.Context(), sub.TaskID, metadata.TaskError{Code: errcode.SourceNotFound, Message: "gone"}); err != nil {
		t.Fatal(err)
	}
	b.do("POST", "/v1/tasks/"+sub.TaskID+"/retry", "").want(t, 409, errcode.Conflict)
	var shown wire.Schedule
	b.do("GET", "/v1/schedules/"+made.ID, "").want(t, 200, "").into(t, &shown)
	if len(shown.Runs) != 1 || shown.Runs[0].Outcome != contract.RunFailed || shown.Runs[0].Code != errcode.SourceNotFound || !shown.Runs[0].ByHand {
		t.Errorf("runs %+v", shown.Runs)
	}
	b.do("GET", "/v2/tasks/"+sub.TaskID, "").want(t, 200, "")
}

func TestRefusedSchedules(t *testing.T) {
	b, service := scheduleBench(t)
	for name, body := range map[string]string{
		"no trust":           strings.Replace(someSchedule, `"trust":"digest",`, "", 1),
		"unknown field":      strings.Replace(someSchedule, `"trust"`, `"truth":1,"trust"`, 1),
		"bad cron":           strings.Replace(someSchedule, "30 4", "30 25", 1),
		"bad zone":           strings.Replace(someSchedule, "Berlin", "Atlantis", 1),
		"no source":          strings.Replace(someSchedule, "https://h/golden-*.img", "", 1),
		"a scheme":           strings.Replace(someSchedule, "https://h/", "gopher://h/", 1),
		"a target":           strings.Replace(someSchedule, `"source"`, `"target":{"format":"odd"},"source"`, 1),
		"a schedule's own":   strings.Replace(someSchedule, `"source"`, `"schedule_id":"x","source"`, 1),
		"a digest":           strings.Replace(someSchedule, `"url"`, `"checksum":"sha256:00","url"`, 1),
		"a task":             strings.Replace(someSchedule, `"source"`, `"task_id":"x","source"`, 1),
		"another's":          strings.Replace(someSchedule, `"source"`, `"owner":"x","source"`, 1),
		"pattern of folders": strings.Replace(someSchedule, "h/golden-*.img", "h/*/golden.img", 1),
	} {
		a := b.do("POST", "/v1/schedules", body)
		if a.StatusCode != 400 && a.StatusCode != 403 && a.StatusCode != 422 {
			t.Errorf("%s: status %d, %s", name, a.StatusCode, a.body)
		}
	}
	if len(service.told) != 0 {
		t.Error("the service was told of a schedule that was refused")
	}
	newBench(t).do("POST", "/v1/schedules", someSchedule).want(t, 404, errcode.NotFound)
}

// Whose a schedule is not, finds nothing, and who may not, is told so.
func TestWhoSeesASchedule(t *testing.T) {
	rules := access.Standard()
	b, _ := scheduleBench(t, func(d *Deps) { d.Access = func() *access.Rules { return rules } })
	member := []string{"X-Project-Id", "red", "X-Roles", "member,reader"}
	var made wire.Schedule
	b.do("POST", "/v1/schedules", someSchedule, member...).want(t, 201, "").into(t, &made)
	path := "/v1/schedules/" + made.ID
	for _, c := range []struct {
		method, path string
		ok           int
	}{
		{"GET", path, 200}, {"POST", path + "/pause", 200}, {"POST", path + "/resume", 200}, {"POST", path + "/trigger", 202},
		{"POST", path + "/rollback", 409}, {"POST", path + "/backfill", 400}, {"DELETE", path, 204},
	} {
		body := ""
		if strings.HasSuffix(c.path, "backfill") {
			body = "{}"
		}
		b.do(c.method, c.path, body, "X-Project-Id", "blue", "X-Roles", "member,reader").want(t, 404, errcode.NotFound)
		if c.method != http.MethodGet {
			b.do(c.method, c.path, body, "X-Project-Id", "red", "X-Roles", "reader").want(t, 403, errcode.Forbidden)
		}
		if a := b.do(c.method, c.path, body, member...); a.StatusCode != c.ok {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, a.StatusCode, a.body, c.ok)
		}
	}
	b.do("POST", "/v1/schedules", someSchedule, "X-Project-Id", "red", "X-Roles", "reader").want(t, 403, errcode.Forbidden)
	b.do("GET", "/v1/schedules?all_projects=true", "", member...).want(t, 403, errcode.Forbidden)
}
