package activitytest

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"ingest/internal/contract"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// NewCatalogue returns an empty catalogue that lives as long as the test.
func NewCatalogue(t testing.TB) *metadata.Catalogue {
	t.Helper()
	return metadata.New(NewRepository(t))
}

// NewRepository returns what NewCatalogue is made of.
func NewRepository(t testing.TB) *Flaky {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := repo.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Flaky{Repository: repo}
}

// Accept records a request as the API does before it starts the workflow.
func Accept(t testing.TB, c *metadata.Catalogue, r contract.ImportRequest, workflowID string) {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Accept(context.Background(), metadata.NewImport{
		Task: metadata.Task{ID: r.TaskID, Type: "api_image_import", Owner: r.Owner, ImageID: r.ImageID,
			WorkflowID: workflowID, IdempotencyKey: r.IdempotencyKey, Request: raw},
		Image: metadata.Image{ID: r.ImageID, Name: r.Image.Name, Owner: r.Owner},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Signals is a Signaller that keeps what it is told.
type Signals struct {
	mu   sync.Mutex
	sent []contract.Progress
	// Err is returned by every call.
	Err error
}

// SignalWorkflow implements activities.Signaller.
func (s *Signals) SignalWorkflow(_ context.Context, _, _, _ string, arg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := arg.(contract.Progress); ok {
		s.sent = append(s.sent, p)
	}
	return s.Err
}

// Sent lists the signals so far.
func (s *Signals) Sent() []contract.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]contract.Progress(nil), s.sent...)
}
