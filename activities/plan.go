package activities

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/activity"

	"ingest/internal/contract"
)

// PlanActivityName is the activity's name.
const PlanActivityName = contract.PlanActivity

// A PlanActivity says what an import would do. It reads the catalogue, and writes to
// nothing.
type PlanActivity struct{ d Deps }

// NewPlanActivity returns the activity.
func NewPlanActivity(d Deps) *PlanActivity { return &PlanActivity{d} }

// Execute makes the forecast, and beats while it does.
func (a *PlanActivity) Execute(ctx context.Context, req contract.ImportRequest) (contract.Forecast, error) {
	begun := time.Now()
	stop := beating(ctx, a.d.beatEvery())
	defer stop()
	w := work{stage: contract.StageValidate, parses: true}
	out, err := guard(a.d.Log, w, func() (contract.Forecast, error) {
		if req.Owner == "" {
			req.Owner = a.d.owner()
		}
		rules := a.d.policy()
		if rep := rules.Submission(req); rep.Err() != nil {
			// What may not be imported from is not read from either.
			out := contract.NewForecast()
			judge(&out, []contract.PolicyReport{rep})
			return out, nil
		}
		out, err := a.d.Steps.Forecast(ctx, req)
		if err == nil {
			a.experience(ctx, req, &out)
			a.quota(ctx, req.Owner, &out)
			if out.Verdict != contract.VerdictRefused {
				judge(&out, rules.Forecast(req, out))
			}
		}
		return out, err
	})
	if cause := interrupted(ctx, w.stage); err != nil && cause != nil {
		err = cause
	}
	a.line(ctx, out, time.Since(begun), err)
	if err != nil {
		return contract.Forecast{}, a.d.temporal(err, activity.GetInfo(ctx).Attempt)
	}
	return out, nil
}

// judge adds what the operator's policy says. What it denies is a forecast that says
// so.
func judge(f *contract.Forecast, reports []contract.PolicyReport) {
	f.Policies = append(f.Policies, reports...)
	for _, r := range reports {
		if err := r.Err(); err != nil {
			v := contract.ValueOf(err)
			f.Verdict, f.Stage, f.Error = contract.VerdictRefused, stageOf(r.Point), &v
			return
		}
	}
}

// stageOf is the stage of an import at which the policy is asked.
func stageOf(point string) contract.Stage {
	if point == contract.PolicySubmission {
		return contract.StageRegister
	}
	return contract.StageValidate
}

// line writes the one line about a dry run.
func (a *PlanActivity) line(ctx context.Context, f contract.Forecast, took time.Duration, err error) {
	ev := a.d.Log.Info()
	if err != nil {
		ev = a.d.Log.Warn().Str("error", trace(err))
	}
	ev.Str("workflow", activity.GetInfo(ctx).WorkflowExecution.ID).Str("verdict", f.Verdict).Func(func(e *zerolog.Event) {
		if f.Error != nil {
			e.Str("code", string(f.Error.Code))
		}
	}).Int64("bytes", f.Read.Bytes).Int64("requests", f.Read.Requests).Dur("duration_ms", took).Msg("dry run done")
}

// beating beats until it is stopped.
func beating(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				activity.RecordHeartbeat(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}
