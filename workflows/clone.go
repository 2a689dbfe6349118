package workflows

import (
	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
)

// CloneImage copies an image of another image service: the same bytes, proven by the digest
// that the service keeps and judged as those of an import are, with what the service says
// of them. It may be started by anyone, under any workflow id; the request's method may be
// left out.
func CloneImage(ctx workflow.Context, req contract.ImportRequest) (contract.ImportResult, error) {
	if req.Method == "" {
		req.Method = contract.MethodClone
	}
	if req.Image.Visibility == "" {
		req.Image.Visibility = "private"
	}
	return bring(ctx, newState(ctx, req), contract.ImportRequest.CheckClone)
}
