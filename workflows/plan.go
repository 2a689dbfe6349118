package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// PlanImport is the dry run of ImportImage: it says what an import of the request
// would do, and leaves nothing behind. A request that no import could work with, and
// a worker that does not answer, are its errors; an image that would be refused is a
// forecast that says so.
func PlanImport(ctx workflow.Context, req contract.ImportRequest) (contract.Forecast, error) {
	var out contract.Forecast
	if err := req.Check(); err != nil {
		return out, failure(contract.ValueOf(err))
	}
	err := workflow.ExecuteActivity(withPlan(ctx), contract.PlanActivity, req).Get(ctx, &out)
	if err != nil && ctx.Err() == nil {
		return out, failure(explain(err, contract.StageValidate))
	}
	return out, err
}
