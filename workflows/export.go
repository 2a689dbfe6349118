package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// ExportImage sends an active image to a destination, converted on the way. The image is
// only read. It may be started by anyone, under any workflow id. A cancel that comes when
// the destination is whole is too late.
func ExportImage(ctx workflow.Context, req contract.ExportRequest) (contract.ImportResult, error) {
	if err := req.Check(); err != nil {
		return contract.ImportResult{}, failure(contract.ValueOf(err))
	}
	st := newState(ctx, req.Import())
	if err := st.serve(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	reg, err := registerExport(ctx, st)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	if reg.Finished {
		return finished(ctx, st, contract.RegisterResult{Result: reg.Result, Error: reg.Error})
	}
	result, err := export(ctx, st, reg)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	tidy(ctx, st)
	return result, nil
}

// registerExport makes the catalogue's row, or finds it. It runs to its end whatever
// happens, as register does.
func registerExport(ctx workflow.Context, st *state) (contract.RegisterExportResult, error) {
	var reg contract.RegisterExportResult
	params := contract.RegisterExportParams{Request: st.req.Export(), WorkflowID: st.workflowID}
	keep, _ := workflow.NewDisconnectedContext(ctx)
	if err := record(keep, contract.RegisterExportActivity, params, &reg); err != nil {
		return reg, err
	}
	st.accepted(reg.Request.Import(), reg.Control)
	return reg, ctx.Err()
}

// export sends, and ends the task. What an attempt has left lies at the destination and on
// its host, which its error names.
func export(ctx workflow.Context, st *state, reg contract.RegisterExportResult) (contract.ImportResult, error) {
	st.progress.Status = statusProcessing
	st.publish(ctx)
	params := contract.ExportParams{TaskID: st.req.TaskID, Project: st.req.Owner, Image: reg.Image, From: reg.From,
		Target: reg.Request.Target, Destination: reg.Request.Destination}
	var got contract.Exported
	if err := run(withTransfer(ctx), st, contract.StageExport, contract.ExportActivity, params, &got); err != nil {
		st.placeOf(err)
		return contract.ImportResult{}, err
	}
	st.places = append(st.places, place{queue: got.Host})
	var result contract.ImportResult
	keep, _ := workflow.NewDisconnectedContext(ctx)
	err := workflow.ExecuteActivity(withTruth(keep), contract.EndExportActivity,
		contract.EndExportParams{TaskID: st.req.TaskID, Image: reg.Image, Exported: got}).Get(keep, &result)
	return result, err
}
