package activities

import (
	"context"
	"encoding/json"

	"go.temporal.io/sdk/activity"

	"ingest/internal/bulk"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
	"ingest/metadata"
)

// The names of the activities of bulks.
const (
	LoadBulkActivityName = contract.LoadBulkActivity
	StepBulkActivityName = contract.StepBulkActivity
)

// bulkStepMost is how many items one step begins: as many as the database writes down
// while others wait no longer than they notice.
const bulkStepMost = 20

// A LoadBulkActivity writes the manifest of a bulk down whose workflow was started by hand.
type LoadBulkActivity struct{ d Deps }

// NewLoadBulkActivity returns the activity.
func NewLoadBulkActivity(d Deps) *LoadBulkActivity { return &LoadBulkActivity{d} }

// Execute reads the manifest and writes it down. One that is written down stays.
func (a *LoadBulkActivity) Execute(ctx context.Context, p contract.LoadBulkParams) error {
	_, err := row(ctx, a.d, work{stage: contract.StageRegister}, func(ctx context.Context) (struct{}, error) {
		none := struct{}{}
		switch old, err := a.d.Catalogue.Bulk(ctx, p.Request.BulkID); {
		case err == nil && old.WorkflowID != p.WorkflowID:
			return none, errcode.New(errcode.Conflict, "bulk %s is run by workflow %s", old.ID, old.WorkflowID)
		case err == nil && old.Status != metadata.BulkLoading:
			return none, nil
		case err == nil: // an attempt before was cut off
			if err := a.d.Catalogue.RemoveBulk(ctx, old.ID); err != nil {
				return none, err
			}
		case errcode.Of(err) != errcode.NotFound:
			return none, err
		}
		owner := p.Request.Owner
		if owner == "" {
			owner = a.d.owner()
		}
		m, err := bulk.ParseJSON(p.Request.Manifest)
		if err != nil {
			return none, err
		}
		b, items, err := m.Bulk(bulk.Submission{ID: p.Request.BulkID, Owner: owner, UserID: p.Request.UserID, WorkflowID: p.WorkflowID})
		if err != nil {
			return none, err
		}
		_, existed, err := a.d.Catalogue.AddBulk(ctx, b, items, m.Again)
		if err == nil && existed {
			err = errcode.New(errcode.Conflict, "a bulk of the same content runs already")
		}
		return none, err
	})
	return err
}

// A StepBulkActivity takes a bulk a step further.
type StepBulkActivity struct{ d Deps }

// NewStepBulkActivity returns the activity.
func NewStepBulkActivity(d Deps) *StepBulkActivity { return &StepBulkActivity{d} }

// Execute does what signals have asked for, and then takes the step.
func (a *StepBulkActivity) Execute(ctx context.Context, p contract.StepBulkParams) (contract.StepBulkResult, error) {
	return row(ctx, a.d, work{stage: contract.StageRegister}, func(ctx context.Context) (contract.StepBulkResult, error) {
		for _, do := range p.Do {
			_, err := a.d.Catalogue.ChangeBulk(ctx, p.BulkID, metadata.BulkChange{Do: do.Do, Settings: do.Settings})
			if code := errcode.Of(err); code == errcode.Conflict || code == errcode.BadRequest {
				a.d.Log.Warn().Err(err).Str("bulk", p.BulkID).Msg("a signal asks for what cannot be done")
			} else if err != nil {
				return contract.StepBulkResult{}, err
			}
		}
		if p.Only {
			return contract.StepBulkResult{}, nil
		}
		// An attempt before may have taken a step, and its answer been lost.
		info := activity.GetInfo(ctx)
		again := p.Again || info.Attempt > 1 || !info.IsLocalActivity
		got, err := a.d.Catalogue.StepBulk(ctx, p.BulkID, metadata.BulkStepper{
			Now: p.Now, Most: bulkStepMost, Default: a.d.concurrency(), Again: again, Prepare: prepareItem, Further: contract.DiskImageID,
		})
		if err != nil {
			return contract.StepBulkResult{}, err
		}
		return stepResult(got), nil
	})
}

func (d Deps) concurrency() int {
	if d.Concurrency > 0 {
		return d.Concurrency
	}
	return DefaultConcurrency
}

// stepResult is what the workflow is told of a step.
func stepResult(s metadata.BulkStep) contract.StepBulkResult {
	out := contract.StepBulkResult{Status: string(s.Bulk.Status), Stop: s.Stop, Running: s.Running, Wake: s.Wake, Ended: s.Ended,
		Watch: s.Bulk.Settings.Breaker.Failures > 0}
	for _, b := range s.Begun {
		var req contract.ImportRequest
		url := "bulk"
		if json.Unmarshal(b.Task.Request, &req) == nil && req.Source.URL != "" {
			url = logging.URL(req.Source.URL)
		}
		out.Start = append(out.Start, contract.BulkStart{N: b.N, TaskID: b.Task.ID, ImageID: b.Task.ImageID, Owner: b.Task.Owner,
			URL: url, WorkflowID: b.Task.WorkflowID})
	}
	return out
}

// prepareItem is the task and the image of an item's next attempt.
func prepareItem(b metadata.Bulk, it metadata.BulkItem) (metadata.NewImport, error) {
	var r contract.ImportRequest
	if err := json.Unmarshal(it.Request, &r); err != nil {
		return metadata.NewImport{}, errcode.Wrap(err, errcode.BadRequest, "the request of item %d cannot be read", it.N)
	}
	r.TaskID, r.Owner, r.TaskType = contract.BulkTaskID(b.ID, it.N, it.Attempt), b.Owner, defaultTaskType
	if r.ImageID == "" {
		// An image that an attempt before has left is used again, unless it is gone.
		if r.ImageID = it.ImageID; r.ImageID == "" {
			r.ImageID = contract.DerivedImageID(r.TaskID, 0)
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return metadata.NewImport{}, errcode.Wrap(err, errcode.Internal, "write request of item %d", it.N)
	}
	return metadata.NewImport{
		Task: metadata.Task{ID: r.TaskID, Type: r.TaskType, Owner: r.Owner, UserID: b.UserID, ImageID: r.ImageID,
			WorkflowID: contract.WorkflowID(r.Owner, r.TaskID, ""), Request: raw, Priority: r.Urgency()},
		Image: imageOf(r),
	}, nil
}
