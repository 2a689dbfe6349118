package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

// copyBench is a bench with the active image of request, in store local.
func copyBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	return b.again()
}

const copyTask = "5d1f6f0e-7a60-4f6d-8f0a-3a8f7f2b9c10"

func copyRequest(stores ...string) contract.CopyRequest {
	return contract.CopyRequest{ImageID: imageID, TaskID: copyTask, StoresSpec: contract.StoresSpec{Stores: stores}}
}

func (b *bench) copyImage(r contract.CopyRequest) (contract.ImportResult, error) {
	b.t.Helper()
	b.env.ExecuteWorkflow(contract.CopyWorkflow, r)
	if !b.env.IsWorkflowCompleted() {
		b.t.Fatal("the workflow has not ended")
	}
	var out contract.ImportResult
	if err := b.env.GetWorkflowError(); err != nil {
		return out, err
	}
	return out, b.env.GetWorkflowResult(&out)
}

// ends checks how the copy's task ended; the image is active all the same.
func (b *bench) ends(status metadata.TaskStatus, stores ...string) metadata.Task {
	b.t.Helper()
	t, err := b.cat.Task(context.Background(), copyTask)
	if err != nil {
		b.t.Fatal(err)
	}
	if t.Status != status || t.Type != "api_image_import" || t.Owner != "p1" {
		b.t.Errorf("task is %+v, want %s", t, status)
	}
	img := b.image()
	if img.Status != metadata.ImageActive {
		b.t.Errorf("image is %s", img.Status)
	}
	if diff := cmp.Diff(stores, storesIn(img)); diff != "" {
		b.t.Errorf("stores (-want +got):\n%s", diff)
	}
	if img.Properties[metadata.PropImportingStores] != "" {
		b.t.Errorf("the image still tells that it is imported: %v", img.Properties)
	}
	return t
}

func TestCopyImage(t *testing.T) {
	b := copyBench(t)
	img := b.image()
	plain := &activitytest.Steps{}
	b.steps.OnCopy = func(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
		want := contract.CopyParams{TaskID: copyTask, ImageID: imageID, From: []contract.Stored{{Store: "local", Key: img.Key, Location: "store://local/" + img.Key}},
			Store: p.Store, Key: copyRequest().StoreKey(p.Store), Size: *img.Size, HashAlgo: img.HashAlgo, HashValue: img.HashValue}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("copy (-want +got):\n%s", diff)
		}
		return plain.Copy(ctx, p, o)
	}
	got, err := b.copyImage(copyRequest("local", "fast", "remote"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"fast", "remote"}, b.copies()); diff != "" {
		t.Errorf("copies (-want +got):\n%s", diff)
	}
	res := got.Images[0]
	if slices.Sort(res.Stores); got.TaskID != copyTask || res.ImageID != imageID || strings.Join(res.Stores, ",") != "fast,local,remote" || res.Size != *img.Size {
		t.Errorf("result %+v", got)
	}
	b.ends(metadata.TaskSuccess, "fast", "local", "remote")

	// The same task again: its end is known, and nothing is copied.
	b = b.again()
	again, err := b.copyImage(copyRequest("local", "fast", "remote"))
	if slices.Sort(again.Images[0].Stores); err != nil || len(b.copies()) > 0 {
		t.Errorf("again: %v, copies %q", err, b.copies())
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}

	// Another task finds that every store has it.
	b = b.again()
	other := copyRequest("fast")
	other.TaskID = "7a1f6f0e-7a60-4f6d-8f0a-3a8f7f2b9c11"
	if _, err := b.copyImage(other); err != nil || len(b.copies()) > 0 {
		t.Errorf("to a store that has it: %v, copies %q", err, b.copies())
	}
}

func TestCopyFails(t *testing.T) {
	b := copyBench(t)
	b.failing("fast", errcode.VerifyMismatch)
	_, err := b.copyImage(copyRequest("remote", "fast"))
	if v := ended(t, err); v.Code != errcode.VerifyMismatch {
		t.Errorf("ended with %+v", v)
	}
	task := b.ends(metadata.TaskFailure, "local")
	if task.Error.Code != errcode.VerifyMismatch || task.Error.Stage != string(contract.StageCopy) {
		t.Errorf("task's error %+v", task.Error)
	}
	r := copyRequest()
	if diff := cmp.Diff([]string{"fast/" + r.StoreKey("fast"), "remote/" + r.StoreKey("remote")}, b.removed()); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
}

func TestCopyToStoresOfWhichOneFails(t *testing.T) {
	must := false
	r := copyRequest("fast", "remote")
	r.AllStoresMustSucceed = &must
	b := copyBench(t)
	b.failing("fast", errcode.NoSpace)
	got, err := b.copyImage(r)
	if err != nil || strings.Join(got.Images[0].FailedStores, ",") != "fast" {
		t.Errorf("%+v, %v", got, err)
	}
	b.ends(metadata.TaskSuccess, "local", "remote")
	if b.image().Properties[metadata.PropFailedStores] != "fast" {
		t.Errorf("properties %v", b.image().Properties)
	}
	if diff := cmp.Diff([]string{"fast/" + r.StoreKey("fast")}, b.removed()); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}

	// All of them fail: then the task has failed.
	r = copyRequest("fast")
	r.AllStoresMustSucceed = &must
	b = copyBench(t)
	b.failing("fast", errcode.NoSpace)
	_, err = b.copyImage(r)
	if v := ended(t, err); v.Code != errcode.NoSpace {
		t.Errorf("ended with %+v", v)
	}
	b.ends(metadata.TaskFailure, "local")
}

func TestCopyOfAnImageThatIsDeletedMeanwhile(t *testing.T) {
	b := copyBench(t)
	plain := &activitytest.Steps{}
	b.steps.OnCopy = func(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
		if _, err := b.cat.DeleteImage(context.Background(), imageID); err != nil {
			t.Error(err)
		}
		return plain.Copy(ctx, p, o)
	}
	_, err := b.copyImage(copyRequest("fast"))
	if v := ended(t, err); v.Code != errcode.Conflict {
		t.Errorf("ended with %+v", v)
	}
	if diff := cmp.Diff([]string{"fast/" + copyRequest().StoreKey("fast")}, b.removed()); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
}

func TestCopyIsCancelled(t *testing.T) {
	b := copyBench(t)
	b.steps.OnCopy = func(context.Context, contract.CopyParams, pipeline.Observe) (contract.Stored, error) {
		b.env.CancelWorkflow()
		return contract.Stored{}, errcode.New(errcode.StoreUnavailable, "cut off")
	}
	if _, err := b.copyImage(copyRequest("fast")); !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v, want cancelled", err)
	}
	if task := b.ends(metadata.TaskFailure, "local"); task.Error.Code != errcode.TaskCancelled {
		t.Errorf("task's error %+v", task.Error)
	}
}

func TestCopyIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		request contract.CopyRequest
		want    errcode.Code
	}{
		"no image":      {contract.CopyRequest{StoresSpec: contract.StoresSpec{AllStores: true}}, errcode.BadRequest},
		"no stores":     {copyRequest(), errcode.BadRequest},
		"a store twice": {copyRequest("fast", "fast"), errcode.BadRequest},
		"unknown image": {contract.CopyRequest{ImageID: copyTask, TaskID: copyTask, StoresSpec: contract.StoresSpec{AllStores: true}}, errcode.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b := copyBench(t)
			_, err := b.copyImage(tt.request)
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.Type() != string(tt.want) {
				t.Errorf("ended with %v, want %s", err, tt.want)
			}
			b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
		})
	}
}

// The policy is asked about the stores that an image is copied to, and its answer kept.
func TestDeniedCopy(t *testing.T) {
	b := copyBench(t)
	b = benchJudged(b, "version: 1\ndefaults:\n  sources: []\n  stores: [local, fast]\n")
	_, err := b.copyImage(copyRequest("fast", "remote"))
	if err == nil {
		t.Fatal("copied")
	}
	task := b.ends(metadata.TaskFailure, "local")
	if task.Error == nil || task.Error.Code != errcode.PolicyStore {
		t.Errorf("task ended with %+v", task.Error)
	}
	if reps := b.policyReports(copyTask); len(reps) != 1 {
		t.Errorf("%d reports", len(reps))
	}
	for _, c := range b.steps.Calls() {
		if _, ok := c.Params.(contract.CopyParams); ok {
			t.Errorf("copied: %+v", c)
		}
	}
}

// What is denied to imports, such as every source, is nothing to a copy.
func TestAllowedCopy(t *testing.T) {
	b := benchJudged(copyBench(t), "version: 1\ndefaults:\n  sources: []\n  stores: [fast]\n")
	if _, err := b.copyImage(copyRequest("fast")); err != nil {
		t.Fatal(err)
	}
	b.ends(metadata.TaskSuccess, "fast", "local")
}
