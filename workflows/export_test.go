package workflows_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

const exportTask = "6d1f6f0e-7a60-4f6d-8f0a-3a8f7f2b9c10"

func exportRequest() contract.ExportRequest {
	return contract.ExportRequest{ImageID: imageID, TaskID: exportTask, Target: contract.TargetSpec{Format: "raw"},
		Destination: contract.DestinationSpec{URL: "/srv/disk.raw"}}
}

func (b *bench) exportImage(r contract.ExportRequest) (contract.ImportResult, error) {
	b.t.Helper()
	b.env.ExecuteWorkflow(contract.ExportWorkflow, r)
	if !b.env.IsWorkflowCompleted() {
		b.t.Fatal("the workflow has not ended")
	}
	var out contract.ImportResult
	if err := b.env.GetWorkflowError(); err != nil {
		return out, err
	}
	return out, b.env.GetWorkflowResult(&out)
}

// exportEnds checks how the export's task ended, that the image is what it was, and that
// the destination was visited by the cleanup.
func (b *bench) exportEnds(status metadata.TaskStatus, success bool) metadata.Task {
	b.t.Helper()
	t, err := b.cat.Task(context.Background(), exportTask)
	if err != nil {
		b.t.Fatal(err)
	}
	if t.Status != status || t.Type != contract.TypeExport || t.Owner != "p1" {
		b.t.Errorf("task is %+v, want %s", t, status)
	}
	if img := b.image(); img.Status != metadata.ImageActive {
		b.t.Errorf("image is %s", img.Status)
	}
	cleanups := b.steps.Cleanups()
	if len(cleanups) != 1 || cleanups[0].Success != success || cleanups[0].Destination == nil || cleanups[0].Destination.URL != "/srv/disk.raw" || cleanups[0].Key != "" {
		b.t.Errorf("cleaned up %+v", cleanups)
	}
	return t
}

func TestExportImage(t *testing.T) {
	b := copyBench(t)
	img := b.image()
	b.steps.OnExport = func(_ context.Context, p contract.ExportParams, _ pipeline.Observe) (contract.Exported, error) {
		if p.TaskID != exportTask || p.Project != "p1" || p.Image.HashValue != img.HashValue || p.Image.Size != *img.Size || p.Target.Format != "raw" || len(p.From) != 1 || p.From[0].Key != img.Key {
			t.Errorf("asked for %+v", p)
		}
		return contract.Exported{Destination: p.Destination.URL, DiskFormat: "raw", Size: 7, Verified: true}, nil
	}
	got, err := b.exportImage(exportRequest())
	if err != nil {
		t.Fatal(err)
	}
	if got.Exported == nil || got.Exported.Size != 7 || got.TaskID != exportTask {
		t.Errorf("got %+v", got)
	}
	b.exportEnds(metadata.TaskSuccess, true)

	// The same task again: its end is known, and nothing is sent.
	b = b.again()
	again, err := b.exportImage(exportRequest())
	if diff := cmp.Diff(got, again); err != nil || diff != "" || len(b.steps.Calls()) > 0 {
		t.Errorf("again: %v, %d calls\n%s", err, len(b.steps.Calls()), diff)
	}
}

func TestExportThatFails(t *testing.T) {
	b := copyBench(t)
	tries := 0
	b.steps.OnExport = func(context.Context, contract.ExportParams, pipeline.Observe) (contract.Exported, error) {
		if tries++; tries < 3 {
			return contract.Exported{}, errcode.New(errcode.DestinationUnreachable, "away")
		}
		return contract.Exported{}, errcode.New(errcode.DestinationExist, "it exists")
	}
	if _, err := b.exportImage(exportRequest()); err == nil {
		t.Fatal("it succeeded")
	}
	if task := b.exportEnds(metadata.TaskFailure, false); task.Error == nil || task.Error.Code != errcode.DestinationExist || tries != 3 {
		t.Errorf("failed with %+v after %d tries", task.Error, tries)
	}
}

func TestExportThatIsCancelled(t *testing.T) {
	b := copyBench(t)
	b.steps.OnExport = func(ctx context.Context, _ contract.ExportParams, _ pipeline.Observe) (contract.Exported, error) {
		b.env.RegisterDelayedCallback(b.env.CancelWorkflow, 0)
		<-ctx.Done()
		return contract.Exported{}, ctx.Err()
	}
	if _, err := b.exportImage(exportRequest()); !temporal.IsCanceledError(err) {
		t.Fatalf("ended with %v", err)
	}
	if task := b.exportEnds(metadata.TaskFailure, false); task.Error == nil || task.Error.Code != errcode.TaskCancelled {
		t.Errorf("failed with %+v", task.Error)
	}
}

func TestExportOfWhatIsNotActive(t *testing.T) {
	b := newBench(t)
	if _, err := b.exportImage(exportRequest()); err == nil {
		t.Fatal("an image that is not there was exported")
	}
	bad := exportRequest()
	bad.Destination.URL = ""
	b = copyBench(t)
	if _, err := b.exportImage(bad); err == nil || len(b.steps.Calls()) > 0 {
		t.Errorf("a request without a destination: %v", err)
	}
}
