package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// A Registry takes workflows; every worker and test environment is one.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register makes the workflows known under the names of package contract.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(ImportImage, workflow.RegisterOptions{Name: contract.ImportWorkflow})
	r.RegisterWorkflowWithOptions(CloneImage, workflow.RegisterOptions{Name: contract.CloneWorkflow})
	r.RegisterWorkflowWithOptions(CopyImage, workflow.RegisterOptions{Name: contract.CopyWorkflow})
	r.RegisterWorkflowWithOptions(ExportImage, workflow.RegisterOptions{Name: contract.ExportWorkflow})
	r.RegisterWorkflowWithOptions(LocateImage, workflow.RegisterOptions{Name: contract.LocateWorkflow})
	r.RegisterWorkflowWithOptions(Reap, workflow.RegisterOptions{Name: contract.ReapWorkflow})
	r.RegisterWorkflowWithOptions(BulkImport, workflow.RegisterOptions{Name: contract.BulkWorkflow})
	r.RegisterWorkflowWithOptions(Reimport, workflow.RegisterOptions{Name: contract.ReimportWorkflow})
	r.RegisterWorkflowWithOptions(PlanImport, workflow.RegisterOptions{Name: contract.PlanWorkflow})
}
