package importer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

const (
	// planTimeout is how long a dry run is waited for, the wait for a worker
	// included: less than clients and proxies wait for an answer.
	planTimeout = 50 * time.Second
	// planLife ends a dry run that nobody waits for any more.
	planLife = 3 * time.Minute
)

// Plan runs the dry run of an import and returns what it says. errcode.DryRunTimedOut
// says that it took too long; the workflow is then cancelled.
func (i *Importer) Plan(ctx context.Context, req contract.ImportRequest) (contract.Forecast, error) {
	var out contract.Forecast
	id := contract.PlanID(req.Owner, uuid.NewString())
	waiting, stop := context.WithTimeout(ctx, i.patience)
	defer stop()
	starting, started := context.WithTimeout(waiting, callTimeout)
	defer started()
	run, err := i.client.ExecuteWorkflow(starting, client.StartWorkflowOptions{
		ID: id, TaskQueue: contract.ImportQueue, WorkflowExecutionTimeout: planLife,
	}, contract.PlanWorkflow, req)
	if err != nil {
		return out, serviceError(err, "start workflow %s", id)
	}
	err = run.Get(waiting, &out)
	if waiting.Err() != nil && err != nil {
		i.giveUp(ctx, id)
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		return out, errcode.Wrap(err, errcode.DryRunTimedOut, "the dry run was not done within %v", i.patience)
	}
	return out, planError(err, id)
}

// giveUp cancels a dry run that is not waited for any more. One that cannot be
// cancelled ends by itself.
func (i *Importer) giveUp(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer stop()
	_ = i.client.CancelWorkflow(ctx, id, "")
}

// carried reports whether a workflow has ended with an error of ours, and which.
func carried(err error, v *contract.ErrorValue) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.HasDetails() && app.Details(v) == nil && errcode.Known(v.Code)
}

// again is the error that a value was made of.
func again(err error, v contract.ErrorValue) error {
	out := errcode.Wrap(err, v.Code, "%s", v.Message)
	if v.Evidence != nil {
		out = out.With(*v.Evidence)
	}
	return out
}

// planError turns a dry run's end into the error that it carries.
func planError(err error, id string) error {
	var app *temporal.ApplicationError
	var v contract.ErrorValue
	var timeout *temporal.TimeoutError
	var missing *serviceerror.NotFound
	switch {
	case err == nil:
		return nil
	case carried(err, &v):
		return again(err, v)
	case errors.As(err, &timeout), errors.As(err, &missing):
		return errcode.Wrap(err, errcode.DryRunTimedOut, "the dry run %s was not done in time", id)
	case temporal.IsCanceledError(err):
		return errcode.Wrap(err, errcode.TaskCancelled, "the dry run was cancelled")
	case errors.As(err, &app):
		return errcode.Wrap(err, errcode.Internal, "the dry run failed")
	}
	return serviceError(err, "workflow %s", id)
}
