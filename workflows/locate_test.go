package workflows_test

import (
	"context"
	"testing"

	"ingest/activities/activitytest"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

var locateRequest = contract.ImportRequest{
	Method: contract.MethodLocate, Owner: "p1", ImageID: imageID,
	Source: contract.SourceSpec{URL: "file:///srv/images/external/disk.raw", Format: "raw"},
	Target: contract.TargetSpec{Store: "local"}, Image: contract.ImageSpec{ContainerFormat: "bare"},
}

// locate runs the workflow to its end, for a queued image.
func (b *bench) locate(r contract.ImportRequest) (contract.ImportResult, error) {
	b.t.Helper()
	if _, err := b.cat.Image(context.Background(), imageID); err != nil {
		if _, err := b.cat.CreateImage(context.Background(), metadata.Image{ID: imageID, Owner: "p1", DiskFormat: "raw", ContainerFormat: "bare"}); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.runAs(contract.LocateWorkflow, r)
}

func TestLocateImage(t *testing.T) {
	b := newBench(t)
	got, err := b.locate(locateRequest)
	if err != nil || len(got.Images) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	img := b.image()
	if img.Status != metadata.ImageActive || img.Key != "external/disk.raw" || img.Store != "local" || img.DiskFormat != "raw" || img.ContainerFormat != "bare" {
		t.Errorf("image %+v", img)
	}
	task, err := b.cat.Task(t.Context(), got.TaskID)
	if err != nil || task.Type != contract.LocationTaskType || task.Status != metadata.TaskSuccess {
		t.Errorf("task %+v, %v", task, err)
	}
	if left := b.steps.Cleanups(); len(left) > 0 {
		t.Errorf("something was removed: %+v", left)
	}
	// The same task again: its end is known.
	b = b.again()
	again, err := b.locate(locateRequest)
	if err != nil || again.TaskID != got.TaskID || len(b.steps.Calls()) > 0 {
		t.Errorf("again: %+v, %v, %v", again, err, b.steps.Calls())
	}
}

func TestLocateImageFails(t *testing.T) {
	b := newBench(t)
	b.steps.OnLocate = func(context.Context, contract.LocateParams, []byte, pipeline.Observe) (contract.Located, []formats.Finding, error) {
		return contract.Located{}, nil, errcode.New(errcode.ChecksumMismatch, "another digest")
	}
	_, err := b.locate(locateRequest)
	if v := ended(t, err); v.Code != errcode.ChecksumMismatch {
		t.Errorf("ended with %+v", v)
	}
	if img := b.image(); img.Status != metadata.ImageQueued || img.Key != "" {
		t.Errorf("image %+v", img)
	}
	for _, c := range b.steps.Cleanups() {
		if c.Key != "" {
			t.Errorf("an object is removed: %+v", c)
		}
	}
}

// An object that ingest has stored is named only while an active image does.
func TestLocateImageOfAnObjectThatIsNobodys(t *testing.T) {
	b := newBench(t)
	b.steps.OnLocate = func(ctx context.Context, p contract.LocateParams, _ []byte, o pipeline.Observe) (contract.Located, []formats.Finding, error) {
		got, found, err := (&activitytest.Steps{}).Locate(ctx, p, nil, o)
		got.Stored.Key = key(1)
		return got, found, err
	}
	_, err := b.locate(locateRequest)
	if v := ended(t, err); v.Code != errcode.Conflict {
		t.Errorf("ended with %+v", v)
	}
	for _, c := range b.steps.Cleanups() {
		if c.Key != "" {
			t.Errorf("an object is removed: %+v", c)
		}
	}
}

func TestLocateImageChecksItsRequest(t *testing.T) {
	for name, change := range map[string]func(*contract.ImportRequest){
		"an import": func(r *contract.ImportRequest) { r.Method = "" }, "no image": func(r *contract.ImportRequest) { r.ImageID = "x" },
		"no url": func(r *contract.ImportRequest) { r.Source.URL = "" }, "no store": func(r *contract.ImportRequest) { r.Target.Store = "" },
		"no format": func(r *contract.ImportRequest) { r.Source.Format = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := locateRequest
			change(&r)
			_, err := newBench(t).locate(r)
			if v := ended(t, err); v.Code != errcode.BadRequest {
				t.Errorf("ended with %+v", v)
			}
		})
	}
}
