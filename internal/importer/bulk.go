package importer

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"ingest/internal/contract"
)

// StartBulk starts the workflow of a bulk. One of that id that runs is left to run.
func (i *Importer) StartBulk(ctx context.Context, req contract.BulkRequest, workflowID string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	_, err := i.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       workflowID,
		TaskQueue:                contract.ImportQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}, contract.BulkWorkflow, req)
	return serviceError(err, "start workflow %s", workflowID)
}

// SignalBulk does something with a running bulk. errcode.NotFound says that none of that id
// runs.
func (i *Importer) SignalBulk(ctx context.Context, workflowID string, s contract.BulkSignalled) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	return serviceError(i.client.SignalWorkflow(ctx, workflowID, "", contract.BulkSignal, s), "signal workflow %s", workflowID)
}
