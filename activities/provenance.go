package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/provenance"
	"ingest/metadata"
)

// record adds to each image of an activation where its bytes come from. What is said
// is what the workflow carries and what the stages have reported, so that whoever runs
// this, after whatever crash, says the same but for the time; the first activation's
// record stays.
func (a *ActivateActivity) record(ctx context.Context, p contract.ActivateParams, act *metadata.Activation) error {
	t, err := a.d.Catalogue.Task(ctx, act.TaskID)
	if errcode.Of(err) == errcode.NotFound || err == nil && t.Status.Finished() {
		return nil // Activate says what is to be said of it
	}
	if err != nil {
		return err
	}
	reports, err := a.reports(ctx, act.TaskID)
	if err != nil {
		return err
	}
	run := activity.GetInfo(ctx).WorkflowExecution
	in := provenance.Import{
		Request: p.Request, Fetched: p.Fetched, Detected: p.Detected, Reports: reports,
		WorkflowID: run.ID, RunID: run.RunID, Started: t.CreatedAt, Finished: time.Now().UTC().Truncate(time.Microsecond),
	}
	for i, d := range disksOf(p) {
		in.Done = contract.DiskDone(d)
		if act.Images[i].Provenance, err = a.d.Provenance.Record(in); err != nil {
			return err
		}
	}
	return nil
}

// reports lists what the stages have put into a task's history.
func (a *ActivateActivity) reports(ctx context.Context, taskID string) ([]provenance.Report, error) {
	events, err := a.d.Catalogue.Events(ctx, taskID)
	if err != nil {
		return nil, err
	}
	var out []provenance.Report
	for _, e := range events {
		if e.Kind == metadata.EventReport && len(e.Detail) > 0 {
			out = append(out, provenance.Report{Stage: e.Stage, Detail: e.Detail})
		}
	}
	return out, nil
}
