package workflows_test

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

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
