package importer

import (
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

func TestBulk(t *testing.T) {
	for _, c := range []struct {
		err  error
		want errcode.Code
	}{
		{nil, ""},
		{serviceerror.NewNotFound("workflow execution already completed"), errcode.NotFound},
		{serviceerror.NewUnavailable("away"), errcode.WorkflowService},
	} {
		s := &service{err: c.err}
		req, signal := contract.BulkRequest{BulkID: "b"}, contract.BulkSignalled{Do: "pause"}
		if got := errcode.Of(New(s, nil).StartBulk(t.Context(), req, "bulk/p/b")); got != c.want {
			t.Errorf("start, %v: got %q, want %q", c.err, got, c.want)
		}
		// A bulk that has ended can be tried again.
		if s.workflow != contract.BulkWorkflow || s.options.ID != "bulk/p/b" || s.options.WorkflowIDReusePolicy != enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE {
			t.Errorf("started %v as %+v", s.workflow, s.options)
		}
		if got := errcode.Of(New(s, nil).SignalBulk(t.Context(), "bulk/p/b", signal)); got != c.want || s.signal != contract.BulkSignal {
			t.Errorf("signal %q, %v: got %q, want %q", s.signal, c.err, got, c.want)
		}
	}
}
