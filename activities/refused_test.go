package activities

import (
	"context"
	"encoding/json"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

// The verdict on a source that is refused while it is still being read is kept
// as that of detection is.
func TestVerdictOfAnEarlyRefusalIsKept(t *testing.T) {
	b := newBench(t)
	refusal := errcode.New(errcode.QCOW2BackingFile, "names a backing file")
	report := detect.Report{DiskFormat: formats.QCOW2, FileSize: 64 << 20, Findings: []formats.Finding{formats.FindingOf(refusal)}}
	b.steps.OnFetch = func(context.Context, contract.FetchParams, pipeline.Observe) (contract.Fetched, error) {
		return contract.Fetched{}, &pipeline.Refused{Report: report, Err: refusal}
	}
	_, err := b.run(contract.FetchActivity, contract.FetchParams{TaskID: taskID})
	if app := appError(t, err); app.Type() != string(errcode.QCOW2BackingFile) || !app.NonRetryable() {
		t.Errorf("ended with %v, want %s", app, errcode.QCOW2BackingFile)
	}
	events, err := b.deps.Catalogue.Events(t.Context(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	reports := 0
	for _, e := range events {
		if e.Kind != metadata.EventReport || e.Stage != string(contract.StageDetect) {
			continue
		}
		reports++
		var got detect.Report
		if err := json.Unmarshal(e.Detail, &got); err != nil || got.DiskFormat != formats.QCOW2 || got.Safe || len(got.Findings) != 1 || got.Findings[0].Code != errcode.QCOW2BackingFile {
			t.Errorf("kept %s, %v", e.Detail, err)
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, want one", reports)
	}
}
