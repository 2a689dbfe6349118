package api

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// plans is a Planner that does as it is told.
type plans struct {
	asked []contract.ImportRequest
	out   contract.Forecast
	err   error
}

func (p *plans) Plan(_ context.Context, req contract.ImportRequest) (contract.Forecast, error) {
	p.asked = append(p.asked, req)
	return p.out, p.err
}

func TestDryRun(t *testing.T) {
	const body = `{"source":{"url":"https://example.org/disk.vmdk"},"target":{"format":"qcow2"}}`
	refused := contract.NewForecast()
	refused.Verdict, refused.Error = contract.VerdictRefused, &contract.ErrorValue{Code: errcode.Truncated, Message: "m", Remedy: "r"}
	p := &plans{out: refused}
	b := newBench(t, func(d *Deps) { d.Planner = p })
	for _, query := range []string{"?dry_run=true", "?dry_run=1"} {
		var got contract.Forecast
		b.do("POST", "/v1/imports"+query, body, "X-Project-Id", "red").want(t, 200, "").into(t, &got)
		if diff := cmp.Diff(refused, got); diff != "" {
			t.Error(diff)
		}
	}
	if len(p.asked) != 2 || p.asked[0].Owner != "red" || p.asked[0].RequestID == "" || p.asked[0].Target.Format != "qcow2" {
		t.Errorf("asked %+v", p.asked)
	}
	// A request that is refused before anything is read is refused as an import is.
	b.do("POST", "/v1/imports?dry_run=true", `{"source":{}}`).want(t, 400, errcode.BadRequest)
	b.do("POST", "/v1/imports?dry_run=true", `{"source":{"url":"https://h/i"},"target":{"format":"qed"}}`).want(t, 400, errcode.TargetFormat)
	b.do("POST", "/v1/imports?dry_run=perhaps", body).want(t, 400, errcode.BadRequest)
	p.err = errcode.New(errcode.DryRunTimedOut, "too long")
	b.do("POST", "/v1/imports?dry_run=true", body).want(t, 504, errcode.DryRunTimedOut)
	newBench(t).do("POST", "/v1/imports?dry_run=true", body).want(t, 404, errcode.NotFound)

	tasks, err := b.cat.Tasks(t.Context(), metadata.TaskFilter{})
	if err != nil || len(tasks) > 0 || len(b.imports.started) > 0 {
		t.Errorf("left behind: %d tasks, %d workflows (%v)", len(tasks), len(b.imports.started), err)
	}
	b.do("POST", "/v1/imports?dry_run=false", body).want(t, 202, "")
}
