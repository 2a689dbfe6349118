package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// ReapActivityName is the activity's name.
const ReapActivityName = contract.ReapActivity

// A Reaper removes everything whose time is over.
type Reaper interface {
	Reap(ctx context.Context, p contract.ReapParams) (contract.ReapResult, error)
}

// A ReapActivity removes what nobody needs any more. Another attempt goes on with
// what is left.
type ReapActivity struct{ d Deps }

// NewReapActivity returns the activity.
func NewReapActivity(d Deps) *ReapActivity { return &ReapActivity{d} }

// Execute reaps, and beats while it does.
func (a *ReapActivity) Execute(ctx context.Context, p contract.ReapParams) (contract.ReapResult, error) {
	stop := beating(ctx, a.d.beatEvery())
	defer stop()
	w := work{}
	out, err := guard(a.d.Log, w, func() (contract.ReapResult, error) {
		if a.d.Reaper == nil {
			return contract.ReapResult{}, errcode.New(errcode.Internal, "this worker reaps nothing")
		}
		return a.d.Reaper.Reap(ctx, p)
	})
	if cause := interrupted(ctx, w.stage); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		a.d.Log.Warn().Str("error", trace(err)).Msg("reaping ended with an error")
		return contract.ReapResult{}, a.d.temporal(err, activity.GetInfo(ctx).Attempt)
	}
	ev := a.d.Log.Debug()
	if len(out.Counts) > 0 || len(out.Errors) > 0 {
		ev = a.d.Log.Info()
	}
	ev.Bool("dry_run", p.DryRun).Any("counts", out.Counts).Int64("bytes", out.Bytes).Int("errors", len(out.Errors)).Msg("reaped")
	return out, nil
}
