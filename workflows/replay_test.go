package workflows_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"ingest/workflows"
)

// maxHistory keeps recorded histories small enough to be read in a review.
const maxHistory = 60 << 10

// Imports that were begun by an earlier version must be finished by this one:
// every history that was ever recorded replays. A change that makes one fail
// needs workflow.GetVersion, and a history of its own; see package replaytest.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/replay/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Fatalf("%d histories, want at least a success, a failure, a cancel and a lost host", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if info, err := os.Stat(file); err != nil || info.Size() > maxHistory {
				t.Errorf("size of %s: %v, %v", file, info, err)
			}
			r := worker.NewWorkflowReplayer()
			workflows.Register(r)
			quiet := log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err := r.ReplayWorkflowHistoryFromJSONFile(quiet, file); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whoever registers a workflow records it: without a history, nobody is told that what
// runs could not go on in the next version.
func TestEveryWorkflowHasAHistory(t *testing.T) {
	var registered names
	workflows.Register(&registered)
	recorded := map[string]string{}
	files, err := filepath.Glob("testdata/replay/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		recorded[typeOf(t, file)] = file
	}
	for _, name := range registered {
		if recorded[name] == "" {
			t.Errorf("%s has no history: record one in package replaytest", name)
		}
	}
	if len(registered) < 8 {
		t.Errorf("registered are only %q", registered)
	}
}

// names is a Registry that keeps the names.
type names []string

func (n *names) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) {
	*n = append(*n, o.Name)
}

// typeOf is the type of the workflow whose history a file holds.
func typeOf(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var h struct {
		Events []struct {
			Started struct {
				Type struct {
					Name string `json:"name"`
				} `json:"workflowType"`
			} `json:"workflowExecutionStartedEventAttributes"`
		} `json:"events"`
	}
	if err := json.Unmarshal(raw, &h); err != nil || len(h.Events) == 0 || h.Events[0].Started.Type.Name == "" {
		t.Fatalf("%s does not begin with the start of a workflow: %v", file, err)
	}
	return h.Events[0].Started.Type.Name
}
