package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/detect"
	"ingest/formats"
	"ingest/internal/errcode"
)

func TestTaskShowsTheVerdict(t *testing.T) {
	refusal := errcode.New(errcode.QCOW2BackingFile, "names the backing file %q", "/etc/passwd").
		With(errcode.Evidence{Format: "qcow2", Structure: "header", Field: "backing_file_offset", Value: "512"})
	finding := formats.FindingOf(refusal)
	finding.Remedy = "flatten it"
	detail, err := json.Marshal(detect.Report{DiskFormat: "qcow2", ContainerFormat: "bare", Findings: []formats.Finding{finding}, Checks: []detect.Check{
		{Name: "signatures", Result: detect.Pass, Detail: "one format"},
		{Name: "open", Result: detect.Fail, Detail: refusal.Error()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	old := wire.Event{Kind: "report", Stage: "detect", Detail: json.RawMessage(`{"disk_format":"vmdk","checks":[{"name":"stale"}]}`)}
	if err := writeVerdict(&b, []wire.Event{old, {Kind: "report", Stage: "detect", Detail: detail}, {Kind: "report", Stage: "validate"}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"disk format      qcow2", "refused", "IMG_QCOW2_BACKING_FILE", "backing_file_offset", "flatten it", "pass  signatures", "fail  open"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "stale") {
		t.Error("shows an earlier report")
	}
	b.Reset()
	for _, e := range [][]wire.Event{nil, {{Kind: "report", Stage: "detect", Detail: json.RawMessage(`[]`)}}} {
		if err := writeVerdict(&b, e); err != nil || b.Len() != 0 {
			t.Errorf("%v, %q", err, b.String())
		}
	}
}
