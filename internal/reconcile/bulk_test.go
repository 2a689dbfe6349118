package reconcile

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// bulkService knows the state of every workflow, and counts what it is asked for.
type bulkService struct {
	state             State
	started, signaled int
}

func (s *bulkService) State(context.Context, string) (State, error) { return s.state, nil }
func (s *bulkService) Start(context.Context, contract.ImportRequest, string) error {
	return nil
}
func (s *bulkService) Steer(context.Context, string, contract.Control) error { return nil }
func (s *bulkService) StartBulk(context.Context, contract.BulkRequest, string) error {
	s.started++
	return nil
}
func (s *bulkService) SignalBulk(context.Context, string, contract.BulkSignalled) error {
	s.signaled++
	return nil
}

func TestBulksHaveAWorkflow(t *testing.T) {
	for _, c := range []struct {
		name              string
		state             State
		change            string // that nobody has told the workflow of
		started, signaled int
		status            metadata.BulkStatus
	}{
		{"running", Running, "", 0, 0, metadata.BulkRunning},
		{"running, and not told", Running, metadata.BulkPause, 0, 1, metadata.BulkPaused},
		{"never started", Missing, "", 1, 0, metadata.BulkRunning},
		{"lost with its history", Missing, metadata.BulkPause, 1, 0, metadata.BulkPaused},
		{"failed", Completed, "", 1, 0, metadata.BulkRunning},
		{"terminated", Terminated, "", 1, 0, metadata.BulkAborting},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo, err := sqlite.Open(sqlite.Memory)
			if err != nil {
				t.Fatal(err)
			}
			defer repo.Close()
			cat, s, ctx := metadata.New(repo), &bulkService{state: c.state}, t.Context()
			if _, _, err := cat.AddBulk(ctx, metadata.Bulk{ID: "b", Owner: "p", WorkflowID: "bulk/p/b"}, []metadata.BulkItem{{N: 1, Key: "1"}}, false); err != nil {
				t.Fatal(err)
			}
			if c.change != "" {
				if _, err := cat.ChangeBulk(ctx, "b", metadata.BulkChange{Do: c.change}); err != nil {
					t.Fatal(err)
				}
			}
			r := &Reconciler{Catalogue: cat, Workflows: s, Bulks: s, Log: zerolog.Nop(), Now: func() time.Time { return time.Now().Add(time.Minute) }}
			for range 2 {
				if err := r.Once(ctx); err != nil {
					t.Fatal(err)
				}
			}
			b, err := cat.Bulk(ctx, "b")
			if err != nil {
				t.Fatal(err)
			}
			// A workflow that was started is not known to run here, and is started again.
			if s.started != 2*c.started || s.signaled != c.signaled || b.Status != c.status {
				t.Errorf("started %d times, signalled %d times, bulk is %s", s.started, s.signaled, b.Status)
			}
		})
	}
}
