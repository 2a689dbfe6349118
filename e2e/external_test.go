package e2e

import (
	"path/filepath"
	"testing"

	"ingest/internal/contract"
)

// A server can use a Temporal service that is not its own: here another
// server's, in a namespace that `ingest temporal setup` has made.
func TestTemporalOfItsOwn(t *testing.T) {
	raw := disk(t, 21, 8*mib)
	service := start(t, nil)
	for range 2 { // it can be run again at any time
		if got := ingest(t, "temporal", "setup", "--temporal", service.temporal, "--namespace", "other"); got.code != 0 {
			t.Fatalf("setup: %+v", got)
		}
	}
	s := start(t, []string{"--temporal", service.temporal, "--namespace", "other", "--file-roots", filepath.Dir(raw)})
	if s.temporal != service.temporal {
		t.Errorf("it says that its Temporal is %s, want %s", s.temporal, service.temporal)
	}
	id := s.submit(of(raw, contract.TargetSpec{Format: "qcow2"})).TaskID
	s.succeeded(id, contentOf(t, raw))
	s.nothingLeft()
	if files(t, s.path("temporal")) != nil {
		t.Error("it has made files of an embedded Temporal")
	}
}
