package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// plan runs a dry run to its end.
func (b *bench) plan(r contract.ImportRequest) (contract.Forecast, error) {
	b.t.Helper()
	b.env.ExecuteWorkflow(contract.PlanWorkflow, r)
	if !b.env.IsWorkflowCompleted() {
		b.t.Fatal("the workflow has not ended")
	}
	var out contract.Forecast
	if err := b.env.GetWorkflowError(); err != nil {
		return out, err
	}
	return out, b.env.GetWorkflowResult(&out)
}

// wantNothing fails the test if the catalogue holds anything.
func (b *bench) wantNothing() {
	b.t.Helper()
	tasks, err := b.cat.Tasks(context.Background(), metadata.TaskFilter{})
	images, imgErr := b.cat.Images(context.Background(), metadata.ImageFilter{})
	if err != nil || imgErr != nil || len(tasks)+len(images) > 0 {
		b.t.Errorf("left behind: %d tasks, %d images (%v, %v)", len(tasks), len(images), err, imgErr)
	}
}

func TestPlan(t *testing.T) {
	b := newBench(t)
	f, err := b.plan(request)
	if err != nil {
		t.Fatal(err)
	}
	if f.Verdict != contract.VerdictAccepted || f.Time.Seconds != contract.Unknown || f.Detected.VirtualSize != 10<<30 {
		t.Errorf("%+v", f)
	}
	calls := b.steps.Calls()
	if len(calls) != 1 || !cmp.Equal(calls[0].Params, any(request)) {
		t.Errorf("called %+v", calls)
	}
	b.wantNothing()
}

// An image that would be refused is an answer; a worker that fails is an error.
func TestPlanThatFails(t *testing.T) {
	refused := contract.NewForecast()
	refused.Verdict, refused.Error = contract.VerdictRefused, &contract.ErrorValue{Code: errcode.Truncated}
	for _, c := range []struct {
		name string
		req  contract.ImportRequest
		do   func(context.Context, contract.ImportRequest) (contract.Forecast, error)
		want errcode.Code
	}{
		{"refused", request, func(context.Context, contract.ImportRequest) (contract.Forecast, error) { return refused, nil }, ""},
		{"no source", contract.ImportRequest{}, nil, errcode.BadRequest},
		{"panic", request, func(context.Context, contract.ImportRequest) (contract.Forecast, error) { panic("crafted") }, errcode.ParserCrash},
		{"error without a code", request, func(context.Context, contract.ImportRequest) (contract.Forecast, error) {
			return refused, errors.New("a secret")
		}, errcode.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.steps.OnForecast = c.do
			f, err := b.plan(c.req)
			if c.want == "" {
				if err != nil || !cmp.Equal(f, refused) {
					t.Errorf("%v: %s", err, cmp.Diff(refused, f))
				}
			} else if v := ended(t, err); v.Code != c.want || v.Remedy == "" {
				t.Errorf("%+v, want %s", v, c.want)
			}
			b.wantNothing()
		})
	}
}

// A second attempt is made of one that a worker did not live through, and no third.
func TestPlanIsTriedTwice(t *testing.T) {
	b := newBench(t)
	tries := 0
	b.steps.OnForecast = func(context.Context, contract.ImportRequest) (contract.Forecast, error) {
		tries++
		return contract.Forecast{}, errcode.New(errcode.StoreUnavailable, "gone")
	}
	if _, err := b.plan(request); ended(t, err).Code != errcode.StoreUnavailable || tries != 2 {
		t.Errorf("%v after %d attempts", err, tries)
	}
}

// What the operator's policy denies is refused with the rule's code: what is found
// after it was looked at, and a place that is not allowed before anything is read.
func TestPlanIsJudged(t *testing.T) {
	for name, c := range map[string]struct {
		rules   string
		code    errcode.Code
		stage   contract.Stage
		reports int
	}{
		"format": {"version: 1\nprojects: {p1: {source_formats: [raw]}}\n", errcode.PolicyFormat, contract.StageValidate, 2},
		"place":  {"version: 1\ndefaults: {sources: []}\n", errcode.PolicySource, contract.StageRegister, 1},
		"other":  {"version: 1\nprojects: {p2: {sources: []}}\n", "", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.steps.OnForecast = func(context.Context, contract.ImportRequest) (contract.Forecast, error) {
				if c.code == errcode.PolicySource {
					t.Error("the source was read")
				}
				f := contract.NewForecast()
				f.Verdict, f.Detected = contract.VerdictAccepted, &contract.Detected{Format: "vmdk"}
				f.Sources, f.Disks = []contract.ForecastSource{{}}, []contract.ForecastDisk{{}}
				return f, nil
			}
			b = benchJudged(b, c.rules)
			f, err := b.plan(request)
			if err != nil || (f.Verdict == contract.VerdictRefused) != (c.code != "") || len(f.Policies) != c.reports {
				t.Fatalf("%v: %+v", err, f)
			}
			if c.code != "" && (f.Error.Code != c.code || f.Stage != c.stage || f.Error.Remedy == "") {
				t.Errorf("%+v", f.Error)
			}
		})
	}
}

// The time is told by how long like imports took: the same host, the same format.
func TestPlanKnowsEarlierImports(t *testing.T) {
	repo := activitytest.NewRepository(t)
	first := benchOn(t, repo, "")
	first.script(contract.StageConvert, func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil }, &activitytest.Steps{})
	if _, err := first.run(request); err != nil {
		t.Fatal(err)
	}
	other := request
	other.Source.URL = "https://elsewhere.example.org/disk.vmdk"
	for _, c := range []struct {
		req   contract.ImportRequest
		known bool
	}{{request, true}, {other, false}} {
		b := benchOn(t, repo, "")
		f, err := b.plan(c.req)
		if err != nil {
			t.Fatal(err)
		}
		if known := f.Time.Seconds >= 0.05 && f.Time.Seconds < 60; known != c.known || f.Time.Basis == "" {
			t.Errorf("%s: %+v", c.req.Source.URL, f.Time)
		}
	}
}
