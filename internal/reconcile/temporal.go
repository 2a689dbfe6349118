package reconcile

import (
	"context"
	"errors"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Temporal is Workflows on a Temporal service.
type Temporal struct{ Client client.Client }

var _ Workflows = Temporal{}

// State describes the latest run of a workflow.
func (t Temporal) State(ctx context.Context, workflowID string) (State, error) {
	d, err := t.Client.DescribeWorkflowExecution(ctx, workflowID, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return Missing, nil
	}
	if err != nil {
		return "", errcode.Wrap(err, errcode.WorkflowService, "the workflow service does not answer")
	}
	switch d.GetWorkflowExecutionInfo().GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, enums.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return Running, nil
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return Terminated, nil
	case enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return TimedOut, nil
	case enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return Cancelled, nil
	}
	return Completed, nil
}

// Steer signals a workflow.
func (t Temporal) Steer(ctx context.Context, workflowID string, c contract.Control) error {
	if err := t.Client.SignalWorkflow(ctx, workflowID, "", contract.ControlSignal, c); err != nil {
		return errcode.Wrap(err, errcode.WorkflowService, "the workflow could not be told")
	}
	return nil
}

// Start runs a workflow again, whatever became of earlier runs.
func (t Temporal) Start(ctx context.Context, req contract.ImportRequest, workflowID string) error {
	workflow, arg := req.Workflow()
	_, err := t.Client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: workflowID, TaskQueue: contract.ImportQueue,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, workflow, arg)
	if err != nil {
		return errcode.Wrap(err, errcode.WorkflowService, "the workflow could not be started")
	}
	return nil
}
