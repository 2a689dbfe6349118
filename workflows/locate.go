package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// LocateImage makes a queued image of an object that is in a store already: it is found,
// checked and hashed where it lies. Nothing is written before the image is active, so
// that a failure leaves nothing to remove.
func LocateImage(ctx workflow.Context, req contract.ImportRequest) (contract.ImportResult, error) {
	st := newState(ctx, req)
	if err := st.serve(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	if err := st.req.CheckLocate(); err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	reg, err := register(ctx, st)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	if reg.Finished {
		return finished(ctx, st, reg)
	}
	result, err := locate(ctx, st)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	succeed(ctx, st)
	return result, nil
}

// locate looks at the object and makes the image active.
func locate(ctx workflow.Context, st *state) (contract.ImportResult, error) {
	st.progress.Status = statusProcessing
	st.enter(ctx, contract.StageLocate)
	st.publish(ctx)
	// What the catalogue has accepted counts, whatever the workflow was started with.
	if err := st.req.CheckLocate(); err != nil {
		return contract.ImportResult{}, err
	}
	var got contract.Located
	params := contract.LocateParams{TaskID: st.req.TaskID, ImageID: st.req.ImageID, Source: st.req.Source,
		Store: st.req.Target.Store, ContainerFormat: st.req.Image.ContainerFormat}
	if err := run(withPass(ctx, ""), st, contract.StageLocate, contract.LocateActivity, params, &got); err != nil {
		return contract.ImportResult{}, err
	}
	if err := st.gate(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	if err := ctx.Err(); err != nil {
		return contract.ImportResult{}, err
	}
	var result contract.ImportResult
	act := contract.ActivateParams{Request: st.req, Fetched: got.Fetched, Detected: got.Detected, Target: got.Target,
		Converted: got.Converted, Checksummed: got.Checksummed, Stored: got.Stored, Located: true}
	keep, _ := workflow.NewDisconnectedContext(ctx)
	err := run(withTruth(keep), st, contract.StageActivate, contract.ActivateActivity, act, &result)
	return result, err
}
