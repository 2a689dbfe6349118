package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// Reap removes what nobody needs any more, or says what it would remove. A
// schedule runs it, and operators do by hand.
func Reap(ctx workflow.Context, p contract.ReapParams) (contract.ReapResult, error) {
	var out contract.ReapResult
	if err := p.Check(); err != nil {
		return out, failure(contract.ValueOf(err))
	}
	err := workflow.ExecuteActivity(withReaping(ctx), contract.ReapActivity, p).Get(ctx, &out)
	if err != nil && ctx.Err() == nil {
		return out, failure(explain(err, contract.StageCleanup))
	}
	return out, err
}

// withReaping is for looking at everything that there is. What one run leaves the
// next one finds, so that it may give up.
func withReaping(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           contract.TransferQueue,
		StartToCloseTimeout: 12 * time.Hour,
		HeartbeatTimeout:    heartbeatTimeout,
		WaitForCancellation: true,
		RetryPolicy:         retry(time.Minute, 10),
	})
}
