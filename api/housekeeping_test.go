package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// keeper is a Reaper and a Checker that does as it is told.
type keeper struct {
	asked contract.ReapParams
	ask   int
	lines []contract.CheckLine
	err   error
}

func (k *keeper) Start(_ context.Context, p contract.ReapParams) (string, error) {
	k.asked = p
	return uuid.NewString(), k.err
}

func (k *keeper) Result(context.Context, string) (contract.ReapResult, bool, error) {
	k.ask++
	out := contract.NewReapResult(k.asked)
	out.Add(contract.ReapItem{Kind: contract.ReapedTask, Name: "t", Bytes: 5})
	return out, k.ask > 1, k.err
}

func (k *keeper) Check(_ context.Context, _ contract.CheckParams, tell func(contract.CheckLine) error) error {
	for _, l := range k.lines {
		if err := tell(l); err != nil {
			return err
		}
	}
	return k.err
}

func TestCollectionByHand(t *testing.T) {
	k := &keeper{}
	b := newBench(t, func(d *Deps) { d.Reaper = k })
	var r wire.Reap
	b.do("POST", "/v1/gc", `{"dry_run":true,"age_seconds":60}`).want(t, 202, "").into(t, &r)
	if k.asked != (contract.ReapParams{DryRun: true, AgeSeconds: 60}) || r.ID == "" || r.Done {
		t.Errorf("asked %+v, answered %+v", k.asked, r)
	}
	b.do("GET", "/v1/gc/"+r.ID, "").want(t, 200, "").into(t, &r)
	if r.Done || r.Result != nil {
		t.Errorf("while it runs: %+v", r)
	}
	b.do("GET", "/v1/gc/"+r.ID, "").want(t, 200, "").into(t, &r)
	if !r.Done || r.Result == nil || r.Result.Bytes != 5 || r.Result.Counts["task"] != 1 {
		t.Errorf("in the end: %+v", r)
	}
	b.do("GET", "/v1/gc/ingest-reap", "").want(t, 404, errcode.NotFound)
	k.err = errcode.New(errcode.WorkflowService, "away")
	b.do("POST", "/v1/gc", `{}`).want(t, 503, errcode.WorkflowService)
	none := newBench(t)
	none.do("POST", "/v1/gc", `{}`).want(t, 404, errcode.NotFound)
	none.do("POST", "/v1/fsck", `{}`).want(t, 404, errcode.NotFound)
}

func TestCheckAnswersLineByLine(t *testing.T) {
	k := &keeper{lines: []contract.CheckLine{{Progress: &contract.CheckFigures{Images: 1}}, {Difference: &contract.Difference{Kind: contract.DiffUpload}}, {End: &contract.CheckFigures{Differences: 1}}}}
	b := newBench(t, func(d *Deps) { d.Checker = k })
	read := func() []contract.CheckLine {
		a := b.do("POST", "/v1/fsck", `{"read":true}`).want(t, 200, "")
		var out []contract.CheckLine
		for dec := json.NewDecoder(strings.NewReader(string(a.body))); dec.More(); {
			var l contract.CheckLine
			if err := dec.Decode(&l); err != nil {
				t.Fatal(err)
			}
			out = append(out, l)
		}
		return out
	}
	if got := read(); len(got) != 3 || got[2].End == nil || got[1].Difference.Kind != contract.DiffUpload {
		t.Errorf("%+v", got)
	}
	// One that breaks off says so, and has no end.
	k.lines, k.err = k.lines[:1], errcode.New(errcode.CatalogueBusy, "busy")
	if got := read(); len(got) != 2 || got[1].Error == nil || got[1].Error.Code != errcode.CatalogueBusy {
		t.Errorf("%+v", got)
	}
	b.do("POST", "/v1/fsck", `{"age_seconds":0.01}`).want(t, 400, errcode.BadRequest)
}
