package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// CopyImage copies an active image to further stores. The image stays active all
// the time, and has its copies when the task has succeeded. It may be started by
// anyone, under any workflow id.
func CopyImage(ctx workflow.Context, req contract.CopyRequest) (contract.ImportResult, error) {
	if err := req.Check(); err != nil {
		return contract.ImportResult{}, failure(contract.ValueOf(err))
	}
	st := newState(ctx, req.Import())
	if err := st.serve(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	reg, err := registerCopy(ctx, st)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	if reg.Finished {
		return finished(ctx, st, contract.RegisterResult{Result: reg.Result, Error: reg.Error})
	}
	result, err := copyTo(ctx, st, reg)
	if err != nil {
		return contract.ImportResult{}, undo(ctx, st, err)
	}
	dropLost(succeed(ctx, st), st)
	return result, nil
}

// registerCopy makes the catalogue's row, or finds it. It runs to its end whatever
// happens, as register does.
func registerCopy(ctx workflow.Context, st *state) (contract.RegisterCopyResult, error) {
	var reg contract.RegisterCopyResult
	params := contract.RegisterCopyParams{Request: st.req.Copy(), WorkflowID: st.workflowID}
	keep, _ := workflow.NewDisconnectedContext(ctx)
	if err := record(keep, contract.RegisterCopyActivity, params, &reg); err != nil {
		return reg, err
	}
	st.accepted(reg.Request.Import(), reg.Control)
	return reg, ctx.Err()
}

// copyTo copies to every store that has not got the image, and ends the task.
func copyTo(ctx workflow.Context, st *state, reg contract.RegisterCopyResult) (contract.ImportResult, error) {
	st.progress.Status = statusProcessing
	st.publish(ctx)
	st.places = append(st.places, place{})
	var copies []contract.Stored
	left := append([]string(nil), reg.Stores...)
	if len(left) > 0 {
		mark(ctx, st, left)
	}
	err := copyAll(ctx, st, "", reg.Request.Copies(reg), func(s contract.Stored) {
		copies = append(copies, s)
		left = without(left, s.Store)
		if len(left) > 0 {
			mark(ctx, st, without(left, st.failed...))
		}
	})
	if err == nil && len(copies) == 0 && len(st.failed) > 0 {
		err = st.refused
	}
	if err != nil {
		return contract.ImportResult{}, err
	}
	if err := st.gate(ctx); err != nil {
		return contract.ImportResult{}, err
	}
	if err := ctx.Err(); err != nil {
		return contract.ImportResult{}, err
	}
	var result contract.ImportResult
	params := contract.AddCopiesParams{TaskID: st.req.TaskID, Image: reg.Image, Copies: copies, Failed: st.failedStores()}
	keep, _ := workflow.NewDisconnectedContext(ctx)
	err = run(withTruth(keep), st, contract.StageActivate, contract.AddCopiesActivity, params, &result)
	return result, err
}

// without returns the list without the names.
func without(list []string, names ...string) []string {
	var out []string
	for _, s := range list {
		gone := false
		for _, n := range names {
			gone = gone || n == s
		}
		if !gone {
			out = append(out, s)
		}
	}
	return out
}
