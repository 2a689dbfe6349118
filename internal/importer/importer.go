package importer

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// callTimeout bounds one call to the service. A start that takes longer is left
// to the reconciler; nobody waits a minute for an answer.
const callTimeout = 5 * time.Second

// A Client is what is used of a Temporal client.
type Client interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	CancelWorkflow(ctx context.Context, workflowID, runID string) error
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
	QueryWorkflow(ctx context.Context, workflowID, runID, queryType string, args ...any) (converter.EncodedValue, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// An Importer runs imports on a Temporal service. It is safe for concurrent use.
type Importer struct {
	client Client
	data   converter.DataConverter
	// patience is how long a dry run is waited for.
	patience time.Duration
}

// New returns an importer that works through c. data is the converter that c
// was made with, nil for the SDK's default.
func New(c Client, data converter.DataConverter) *Importer {
	if data == nil {
		data = converter.GetDefaultDataConverter()
	}
	return &Importer{client: c, data: data, patience: planTimeout}
}

// Start starts the workflow of an import, or of a copy. One of that id that runs is left to run,
// and one that ended well is not run again; one that was terminated, or failed
// to run at all, is.
func (i *Importer) Start(ctx context.Context, req contract.ImportRequest, workflowID string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	workflow, arg := req.Workflow()
	_, err := i.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       workflowID,
		TaskQueue:                contract.ImportQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
	}, workflow, arg)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) { // it has ended well: that is what was asked for
		return nil
	}
	return serviceError(err, "start workflow %s", workflowID)
}

// Cancel asks the workflow to stop. It cleans up and fails its task by itself.
// errcode.NotFound says that none of that id runs.
func (i *Importer) Cancel(ctx context.Context, workflowID string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	return serviceError(i.client.CancelWorkflow(ctx, workflowID, ""), "cancel workflow %s", workflowID)
}

// Steer tells the workflow of a task how it is to be worked on. errcode.NotFound says
// that none of that id runs.
func (i *Importer) Steer(ctx context.Context, workflowID string, c contract.Control) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	return serviceError(i.client.SignalWorkflow(ctx, workflowID, "", contract.ControlSignal, c), "steer workflow %s", workflowID)
}

// serviceError gives an error of the service its code.
func serviceError(err error, format string, args ...any) error {
	var missing *serviceerror.NotFound
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return errcode.Wrap(err, errcode.NotFound, format, args...)
	default:
		return errcode.Wrap(err, errcode.WorkflowService, format, args...)
	}
}
