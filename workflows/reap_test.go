package workflows_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/activities"
	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// reaper is a Reaper that does as it is told.
type reaper func(ctx context.Context, p contract.ReapParams) (contract.ReapResult, error)

func (r reaper) Reap(ctx context.Context, p contract.ReapParams) (contract.ReapResult, error) {
	return r(ctx, p)
}

func TestReap(t *testing.T) {
	p := contract.ReapParams{DryRun: true, AgeSeconds: 60}
	want := contract.NewReapResult(p)
	want.Add(contract.ReapItem{Kind: contract.ReapedTask, Name: "t", Bytes: 3})
	for _, c := range []struct {
		name  string
		p     contract.ReapParams
		fails int // attempts that fail
		want  errcode.Code
	}{
		{"done", p, 0, ""},
		{"the catalogue is busy for a while", p, 3, ""},
		{"for too long", p, 100, errcode.CatalogueBusy},
		{"too young", contract.ReapParams{AgeSeconds: -1}, 0, errcode.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			d := reaper(func(_ context.Context, got contract.ReapParams) (contract.ReapResult, error) {
				if n++; n <= c.fails {
					return contract.ReapResult{}, errcode.New(errcode.CatalogueBusy, "busy")
				}
				if got != c.p {
					t.Errorf("asked for %+v", got)
				}
				return want, nil
			})
			b := benchWith(t, activitytest.NewRepository(t), "", func(deps *activities.Deps) { deps.Reaper = d })
			b.env.ExecuteWorkflow(contract.ReapWorkflow, c.p)
			var got contract.ReapResult
			err := b.env.GetWorkflowError()
			if c.want != "" {
				var app *temporal.ApplicationError
				if !errors.As(err, &app) || app.Type() != string(c.want) {
					t.Errorf("ended with %v, want %s", err, c.want)
				}
				return
			}
			if err = errors.Join(err, b.env.GetWorkflowResult(&got)); err != nil || !cmp.Equal(got, want) {
				t.Errorf("%v: %s", err, cmp.Diff(want, got))
			}
		})
	}
}
