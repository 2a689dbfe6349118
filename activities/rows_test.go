package activities

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/pause"
	"ingest/metadata"
)

// twice runs an activity two times in a row and wants the same result.
func twice[T any](t *testing.T, b *bench, name string, params any) T {
	t.Helper()
	var out [2]T
	for i := range out {
		v, err := b.run(name, params)
		if err != nil {
			t.Fatalf("%s, run %d: %v", name, i+1, err)
		}
		if v.HasValue() {
			if err := v.Get(&out[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(out[0], out[1]); diff != "" {
		t.Errorf("%s differs when run again (-first +second):\n%s", name, diff)
	}
	return out[0]
}

func events(t *testing.T, b *bench) int {
	t.Helper()
	ev, err := b.deps.Catalogue.Events(context.Background(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	return len(ev)
}

func task(t *testing.T, b *bench, id string) metadata.Task {
	t.Helper()
	got, err := b.deps.Catalogue.Task(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Writing to the catalogue beats, so that one which died with its worker is soon run again.
func TestRowsBeat(t *testing.T) {
	b := newBench(t)
	waits := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		_, err := row(ctx, b.deps, work{}, func(ctx context.Context) (struct{}, error) {
			for b.alive.Load() < 2 {
				if err := pause.For(ctx, time.Millisecond); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
		return err
	}
	b.env.RegisterActivity(waits)
	if _, err := b.env.ExecuteActivity(waits); err != nil {
		t.Error(err)
	}
}

func TestRegisterTwice(t *testing.T) {
	b := newBench(t)
	p := contract.RegisterParams{Request: contract.ImportRequest{TaskID: taskID, ImageID: imageID}, WorkflowID: "w"}
	got := twice[contract.RegisterResult](t, b, contract.RegisterActivity, p)
	if got.Finished || got.Request.Owner != "p1" || got.Request.TaskType != "api_image_import" {
		t.Errorf("registered %+v", got)
	}
	if s := task(t, b, taskID).Status; s != metadata.TaskProcessing {
		t.Errorf("task is %s, want processing", s)
	}
}

func TestRegisterMakesTheRowsOfAWorkflowStartedByHand(t *testing.T) {
	b := newBench(t)
	id := contract.DerivedTaskID("by hand")
	p := contract.RegisterParams{WorkflowID: "by hand", Request: contract.ImportRequest{TaskID: id, ImageID: contract.DerivedImageID(id, 0),
		Source: contract.SourceSpec{URL: "https://example.org/"}, Image: contract.ImageSpec{Name: "n", MinDisk: 3, Tags: []string{"a"}}}}
	got := twice[contract.RegisterResult](t, b, contract.RegisterActivity, p)
	want := p.Request
	want.Owner, want.TaskType = DefaultOwner, defaultTaskType
	if diff := cmp.Diff(want, got.Request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	img, err := b.deps.Catalogue.Image(context.Background(), want.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	if img.Name != "n" || img.MinDisk != 3 || len(img.Tags) != 1 || img.Owner != DefaultOwner || img.Status != metadata.ImageImporting {
		t.Errorf("image %+v", img)
	}
}

// The same idempotency key of the same owner is one import, whatever the
// workflow is called.
func TestRegisterRefusesASecondWorkflow(t *testing.T) {
	b := newBench(t)
	first := contract.ImportRequest{TaskID: contract.DerivedTaskID("1"), Owner: "p1", IdempotencyKey: "k", Source: contract.SourceSpec{URL: "u"}}
	first.ImageID = contract.DerivedImageID(first.TaskID, 0)
	second := first
	second.TaskID, second.ImageID = contract.DerivedTaskID("2"), contract.DerivedImageID("2", 0)
	if _, err := b.run(contract.RegisterActivity, contract.RegisterParams{Request: first, WorkflowID: "1"}); err != nil {
		t.Fatal(err)
	}
	_, err := b.run(contract.RegisterActivity, contract.RegisterParams{Request: second, WorkflowID: "2"})
	if app := appError(t, err); app.Type() != string(errcode.Conflict) || !app.NonRetryable() {
		t.Errorf("ended with %v, want CONFLICT", app)
	}
}

func TestReportsAreKeptOnceAndAlsoOfRefusals(t *testing.T) {
	b := newBench(t)
	refusal := errcode.New(errcode.QCOW2BackingFile, "names a backing file")
	b.steps.OnDetect = func(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error) {
		return contract.Detected{}, detect.Report{DiskFormat: "qcow2", Findings: []formats.Finding{formats.FindingOf(refusal)}}, refusal
	}
	before := events(t, b)
	for range 2 {
		if _, err := b.run(contract.DetectActivity, contract.DetectParams{TaskID: taskID}); err == nil {
			t.Fatal("no error")
		}
	}
	ev, err := b.deps.Catalogue.Events(context.Background(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	reports := 0
	for _, e := range ev[before:] {
		if e.Kind == metadata.EventReport && e.Stage == "detect" && len(e.Detail) > 0 {
			reports++
		}
	}
	if reports != 1 {
		t.Errorf("%d reports, want one", reports)
	}
}

func activateParams() contract.ActivateParams {
	return contract.ActivateParams{
		Request:     contract.ImportRequest{TaskID: taskID, ImageID: imageID},
		Target:      contract.TargetSpec{Format: "qcow2"},
		Converted:   contract.Converted{Size: 5, VirtualSize: 9, ContentDigest: "d"},
		Checksummed: contract.Checksummed{HashAlgo: "sha256", HashValue: "h", Checksum: "m"},
		Stored:      contract.Stored{Store: "local", Key: imageID + "/u", Location: "store://local/" + imageID + "/u"},
	}
}

func TestActivateTwice(t *testing.T) {
	b := newBench(t)
	if err := b.deps.Catalogue.Start(context.Background(), taskID); err != nil {
		t.Fatal(err)
	}
	got := twice[contract.ImportResult](t, b, contract.ActivateActivity, activateParams())
	want := contract.ImportResult{TaskID: taskID, Images: []contract.ImageResult{{ImageID: imageID, DiskFormat: "qcow2", Size: 5,
		VirtualSize: 9, ContentDigest: "d", HashAlgo: "sha256", HashValue: "h", Checksum: "m", Location: "store://local/" + imageID + "/u"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	reg := twice[contract.RegisterResult](t, b, contract.RegisterActivity,
		contract.RegisterParams{Request: contract.ImportRequest{TaskID: taskID}, WorkflowID: "w"})
	if diff := cmp.Diff(&want, reg.Result); diff != "" || !reg.Finished {
		t.Errorf("register finds (-want +got):\n%s", diff)
	}
}

// Glance wants the container format of an Amazon image to be its disk format.
func TestActivateNamesTheContainer(t *testing.T) {
	for format, want := range map[string]string{"qcow2": "bare", "ami": "ami", "ari": "ari"} {
		b := newBench(t)
		ctx := context.Background()
		if err := b.deps.Catalogue.Start(ctx, taskID); err != nil {
			t.Fatal(err)
		}
		p := activateParams()
		p.Target.Format = format
		twice[contract.ImportResult](t, b, contract.ActivateActivity, p)
		img, err := b.deps.Catalogue.Image(ctx, imageID)
		if err != nil || img.DiskFormat != format || img.ContainerFormat != want {
			t.Errorf("%s: image is %s in %s (%v), want %s", format, img.DiskFormat, img.ContainerFormat, err, want)
		}
	}
}

func TestFailTwice(t *testing.T) {
	b := newBench(t)
	p := contract.FailParams{TaskID: taskID, WorkflowID: "w", Stage: contract.StageConvert,
		Error: contract.ErrorValue{Code: errcode.TaskCancelled, Message: "cancelled", Remedy: "r"}}
	twice[struct{}](t, b, contract.FailActivity, p)
	got := task(t, b, taskID)
	want := &metadata.TaskError{Code: errcode.TaskCancelled, Message: "cancelled", Stage: "convert", Remedy: "r"}
	if diff := cmp.Diff(want, got.Error); diff != "" || got.Status != metadata.TaskFailure {
		t.Errorf("task is %s with error (-want +got):\n%s", got.Status, diff)
	}
}

func TestFailMindsItsOwnBusiness(t *testing.T) {
	b := newBench(t)
	twice[struct{}](t, b, contract.FailActivity, contract.FailParams{TaskID: "unknown", WorkflowID: "w"})
	twice[struct{}](t, b, contract.FailActivity, contract.FailParams{TaskID: taskID, WorkflowID: "another"})
	if got := task(t, b, taskID); got.Status != metadata.TaskPending {
		t.Errorf("task is %s, want pending", got.Status)
	}
}

func TestReportTwice(t *testing.T) {
	b := newBench(t)
	before := events(t, b)
	twice[struct{}](t, b, contract.ReportActivity, contract.ReportParams{TaskID: taskID, Stage: contract.StageConvert})
	if n := events(t, b) - before; n != 1 {
		t.Errorf("%d events, want one", n)
	}
	if got := task(t, b, taskID); got.Stage != "convert" {
		t.Errorf("stage is %s, want convert", got.Stage)
	}
}

// The uploads of all disks are visited, and each object that an image names stays.
func TestCleanupOfSeveralDisks(t *testing.T) {
	b := newBench(t)
	if err := b.deps.Catalogue.Start(context.Background(), taskID); err != nil {
		t.Fatal(err)
	}
	second := contract.DiskImageID(taskID, imageID, 2)
	p := activateParams()
	p.Detected.Disks = []contract.DetectedDisk{{}, {Properties: map[string]string{"boot_index": "-1"}}}
	p.Further = []contract.DiskDone{{Disk: 2, ImageID: second, Target: p.Target, Converted: p.Converted, Checksummed: p.Checksummed,
		Stored: contract.Stored{Store: "local", Key: second + "/u"}}}
	got := twice[contract.ImportResult](t, b, contract.ActivateActivity, p)
	if len(got.Images) != 2 || got.Images[1].ImageID != second {
		t.Errorf("activated %+v", got)
	}
	img, err := b.deps.Catalogue.Image(context.Background(), second)
	if err != nil || img.Status != metadata.ImageActive || img.Properties["boot_index"] != "-1" {
		t.Errorf("second image %+v, %v", img, err)
	}
	twice[struct{}](t, b, contract.CleanupActivity, contract.CleanupParams{TaskID: taskID, ImageID: imageID, Key: imageID + "/v",
		Further: []contract.Leftover{{ImageID: second, Key: second + "/u"}, {ImageID: second, Key: second + "/v"}}})
	one := []contract.CleanupParams{
		{TaskID: taskID, ImageID: imageID, Key: imageID + "/v"},
		{TaskID: taskID, ImageID: second, Key: second + "/u", Success: true},
		{TaskID: taskID, ImageID: second, Key: second + "/v"},
	}
	if diff := cmp.Diff(append(one, one...), b.steps.Cleanups()); diff != "" {
		t.Errorf("cleanups (-want +got):\n%s", diff)
	}
}

// What is taken apart is bare, whatever its image was said to be in.
func TestActivateTakesTheContainerOff(t *testing.T) {
	for own, want := range map[string]string{"ova": "bare", "compressed": "bare", "docker": "docker"} {
		if got := containerOf(metadata.Image{ContainerFormat: own}, "qcow2", contract.TargetSpec{ContainerFormat: "bare"}); got != want && !(got == "" && own == want) {
			t.Errorf("%s becomes %q, want %q", own, got, want)
		}
	}
}

// What is kept as it is stays in its container, and is told of as the disk that it is.
func TestActivateKeepsAsItIs(t *testing.T) {
	asIs := contract.TargetSpec{Format: "raw", AsIs: true, DiskFormat: "vmdk", ContainerFormat: "ova"}
	if got := containerOf(metadata.Image{ContainerFormat: "bare"}, "vmdk", asIs); got != "ova" {
		t.Errorf("the container is %q", got)
	}
	converted := contract.Converted{Size: 5, VirtualSize: 5, SourceSize: 5, ContentDigest: "ingest1:aa"}
	for _, c := range []struct {
		found contract.Detected
		plain bool
	}{
		{contract.Detected{Format: "raw", VirtualSize: 5}, true}, {contract.Detected{Format: "iso", VirtualSize: 5}, true}, {contract.Detected{Format: "aki", VirtualSize: 5}, true},
		{contract.Detected{Format: "qcow2", VirtualSize: 9}, false}, {contract.Detected{Format: "raw", VirtualSize: 9, Container: "ova"}, false},
	} {
		d := disksOf(contract.ActivateParams{Target: asIs, Detected: c.found, Converted: converted, Guest: &contract.GuestFacts{MinDisk: 3}})[0]
		if d.Converted.Size != 5 || d.Converted.VirtualSize != c.found.VirtualSize || (d.Converted.ContentDigest != "") != c.plain || d.minDisk(contract.About{MinDisk: 2}) != 2 {
			t.Errorf("%+v becomes %+v", c.found, d)
		}
	}
}

// The catalogue is the authority: an object that an image is made of stays,
// whatever the workflow believes.
func TestCleanupKeepsWhatTheCatalogueNames(t *testing.T) {
	b := newBench(t)
	if err := b.deps.Catalogue.Start(context.Background(), taskID); err != nil {
		t.Fatal(err)
	}
	twice[contract.ImportResult](t, b, contract.ActivateActivity, activateParams())
	named := contract.CleanupParams{TaskID: taskID, ImageID: imageID, Key: imageID + "/u"}
	other := contract.CleanupParams{TaskID: taskID, ImageID: imageID, Key: imageID + "/v"}
	twice[struct{}](t, b, contract.CleanupActivity, named)
	twice[struct{}](t, b, contract.CleanupActivity, other)
	kept := named
	kept.Success = true
	if diff := cmp.Diff([]contract.CleanupParams{kept, kept, other, other}, b.steps.Cleanups()); diff != "" {
		t.Errorf("cleanups (-want +got):\n%s", diff)
	}
}
