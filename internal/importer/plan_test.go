package importer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// planner is a service whose workflows end as a script says.
type planner struct {
	service
	end       func(ctx context.Context) (contract.Forecast, error)
	cancelled string
}

// ended is a workflow run of a planner.
type ended struct {
	client.WorkflowRun
	p *planner
}

func (p *planner) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, w any, args ...any) (client.WorkflowRun, error) {
	if _, err := p.service.ExecuteWorkflow(ctx, o, w, args...); err != nil {
		return nil, err
	}
	return ended{p: p}, nil
}

func (p *planner) CancelWorkflow(_ context.Context, id, _ string) error {
	p.cancelled = id
	return nil
}

func (e ended) Get(ctx context.Context, dst any) error {
	f, err := e.p.end(ctx)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, dst)
}

func failed(v contract.ErrorValue) error {
	return temporal.NewApplicationErrorWithOptions(v.Message, string(v.Code), temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{v}})
}

func TestPlan(t *testing.T) {
	accepted := contract.NewForecast()
	accepted.Verdict = contract.VerdictAccepted
	evidence := &errcode.Evidence{Structure: "request", Field: "source.url"}
	for _, c := range []struct {
		name string
		err  error // of the start
		end  error
		want errcode.Code
	}{
		{"done", nil, nil, ""},
		{"service away", serviceerror.NewUnavailable("refused"), nil, errcode.WorkflowService},
		{"a coded end", nil, failed(contract.ErrorValue{Code: errcode.BadRequest, Message: "source.url is missing", Evidence: evidence}), errcode.BadRequest},
		{"an end without a code", nil, errors.New("connection lost"), errcode.WorkflowService},
		{"a strange code", nil, temporal.NewNonRetryableApplicationError("x", "STRANGE", nil), errcode.Internal},
		{"cancelled", nil, temporal.NewCanceledError(), errcode.TaskCancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &planner{service: service{err: c.err}, end: func(context.Context) (contract.Forecast, error) { return accepted, c.end }}
			req := contract.ImportRequest{Owner: "red", Source: contract.SourceSpec{URL: "http://h/i"}}
			f, err := New(p, nil).Plan(t.Context(), req)
			if errcode.Of(err) != c.want || c.want == "" && f.Verdict != contract.VerdictAccepted {
				t.Errorf("%+v, %v, want %q", f, err, c.want)
			}
			if e, ok := errcode.As(err); ok && c.want == errcode.BadRequest && (e.Evidence == nil || *e.Evidence != *evidence) {
				t.Errorf("evidence %+v", e.Evidence)
			}
			if p.workflow != contract.PlanWorkflow || p.options.TaskQueue != contract.ImportQueue || !strings.HasPrefix(p.options.ID, "plan/red/") ||
				p.options.WorkflowExecutionTimeout <= 0 {
				t.Errorf("started %v as %+v", p.workflow, p.options)
			}
		})
	}
}

// A dry run that nobody waits for any more is cancelled.
func TestPlanIsGivenUp(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	p := &planner{end: func(ctx context.Context) (contract.Forecast, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("it is waited for without an end")
		}
		leave()
		<-ctx.Done()
		return contract.Forecast{}, ctx.Err()
	}}
	if _, err := New(p, nil).Plan(gone, contract.ImportRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if p.cancelled != p.options.ID || p.cancelled == "" {
		t.Errorf("cancelled %q, want %q", p.cancelled, p.options.ID)
	}
	i := New(p, nil)
	i.patience = time.Millisecond
	p.cancelled = ""
	p.end = func(ctx context.Context) (contract.Forecast, error) {
		<-ctx.Done()
		return contract.Forecast{}, ctx.Err()
	}
	if _, err := i.Plan(t.Context(), contract.ImportRequest{}); errcode.Of(err) != errcode.DryRunTimedOut || p.cancelled == "" {
		t.Errorf("got %v, cancelled %q", err, p.cancelled)
	}
}
