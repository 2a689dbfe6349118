package workflows_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/activities/activitytest"
	"ingest/detect"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// machine is a source of three disks.
func machine() contract.Detected {
	d := detected
	d.Container = "ova"
	for i, name := range []string{"boot.vmdk", "data.vmdk", "logs.vmdk"} {
		d.Disks = append(d.Disks, contract.DetectedDisk{Name: name, Format: "vmdk", VirtualSize: int64(i+1) << 30, AllocatedSize: -1, Boot: i == 0,
			Properties: map[string]string{"hw_firmware_type": "uefi", "note": name}})
	}
	return d
}

// severalDisks puts a bench on such a source.
func severalDisks(t *testing.T) *bench {
	b := newBench(t)
	b.steps.OnDetect = func(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error) {
		return machine(), detect.Report{Safe: true}, nil
	}
	return b
}

// diskImage is the id of the n-th image, diskKey the key of its object.
func diskImage(n int) string { return contract.DiskImageID(taskID, imageID, n) }

func diskKey(n int) string {
	pin := contract.DiskPin(contract.Fetched{Size: activitytest.SourceSize, Validator: `"e1"`}.Pin(), n)
	return contract.ObjectKey(diskImage(n), contract.DerivedUploadID(taskID, 1, pin))
}

// images lists the ids of all images that the catalogue knows.
func (b *bench) images() map[string]metadata.Image {
	b.t.Helper()
	all, err := b.cat.Images(context.Background(), metadata.ImageFilter{})
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]metadata.Image{}
	for _, img := range all {
		out[img.ID] = img
	}
	return out
}

// diskOrder lists the steps as "stage/disk".
func (b *bench) diskOrder() []string {
	var out []string
	for _, c := range b.steps.Calls() {
		disk := 0
		switch p := c.Params.(type) {
		case contract.ValidateParams:
			disk = p.Disk
		case contract.ConvertParams:
			disk = p.Disk
		case contract.ChecksumParams:
			disk = p.Disk
		case contract.StoreParams:
			disk = p.Disk
		}
		out = append(out, fmt.Sprintf("%s/%d", c.Stage, disk))
	}
	return out
}

func TestEachDiskBecomesAnImage(t *testing.T) {
	b := severalDisks(t)
	r := request
	r.Image.Properties = map[string]string{"note": "mine"}
	got, err := b.run(r)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields("fetch/0 detect/0 validate/1 validate/2 validate/3 convert/1 checksum/1 store/1 convert/2 checksum/2 store/2 convert/3 checksum/3 store/3 cleanup/0 cleanup/0 cleanup/0")
	if diff := cmp.Diff(want, b.diskOrder()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	images := b.images()
	if len(got.Images) != 3 || len(images) != 3 {
		t.Fatalf("%d images in the result, %d in the catalogue, want 3", len(got.Images), len(images))
	}
	for i, name := range []string{"disk", "disk-disk2", "disk-disk3"} {
		res, img := got.Images[i], images[diskImage(i+1)]
		if res.ImageID != diskImage(i+1) || res.Name != name || res.Location != "store://local/"+diskKey(i+1) {
			t.Errorf("result %d is %+v", i, res)
		}
		if img.Status != metadata.ImageActive || img.Name != name || img.Key != diskKey(i+1) || img.Owner != "p1" || img.Hidden || img.ContainerFormat != "bare" {
			t.Errorf("image %d is %+v", i, img)
		}
		if diff := cmp.Diff(map[string]string{"hw_firmware_type": "uefi", "note": "mine"}, img.Properties); diff != "" {
			t.Errorf("properties of image %d (-want +got):\n%s", i, diff)
		}
	}
	for _, c := range b.steps.Cleanups() {
		if !c.Success {
			t.Errorf("cleanup %+v, want that of a success", c)
		}
	}
	if b.upserts != 3 {
		t.Errorf("%d writes of search attributes, want 3", b.upserts)
	}
	b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
}

// leftovers checks that the uploads of so many disks were removed, and every image
// but the first, which is as it was.
func (b *bench) leftovers(n int) {
	b.t.Helper()
	got := map[string]bool{}
	for _, c := range b.steps.Cleanups() {
		if c.Success {
			b.t.Errorf("cleanup %+v of a success", c)
		}
		if c.Key != "" {
			got[c.Key] = true
		}
	}
	want := map[string]bool{}
	for i := range n {
		want[diskKey(i+1)] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("removed uploads (-want +got):\n%s", diff)
	}
	if images := b.images(); len(images) != 1 {
		b.t.Errorf("%d images are left, want the task's own", len(images))
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
}

// scriptDisk makes one stage of one disk call fn first.
func (b *bench) scriptDisk(s contract.Stage, n int, fn func() error) {
	calls := 0
	b.script(s, func(context.Context) error {
		if calls++; calls != n {
			return nil
		}
		return fn()
	}, &activitytest.Steps{})
}

func TestFailureOfAnyDiskUndoesAll(t *testing.T) {
	for _, s := range []contract.Stage{contract.StageValidate, contract.StageConvert, contract.StageChecksum, contract.StageStore} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprint(s, n), func(t *testing.T) {
				b := severalDisks(t)
				b.scriptDisk(s, n, func() error { return errcode.New(errcode.VMDKGrain, "a grain is bad") })
				_, err := b.run(request)
				v := ended(t, err)
				if want := fmt.Sprintf("disk %d of 3: a grain is bad", n); v.Code != errcode.VMDKGrain || v.Message != want {
					t.Errorf("ended with %+v, want %q", v, want)
				}
				begun := n
				if s == contract.StageValidate {
					begun = 0
				}
				b.leftovers(begun)
			})
		}
	}
}

func TestCancelBetweenDisksUndoesAll(t *testing.T) {
	for n := 1; n <= 3; n++ {
		b := severalDisks(t)
		b.scriptDisk(contract.StageStore, n, func() error {
			b.env.CancelWorkflow()
			return errcode.New(errcode.StoreUnavailable, "cut off")
		})
		if _, err := b.run(request); !temporal.IsCanceledError(err) {
			t.Errorf("ended with %v, want cancelled", err)
		}
		if e := b.task().Error; e.Code != errcode.TaskCancelled {
			t.Errorf("task's error is %+v", e)
		}
		b.leftovers(n)
	}
}

// An image deleted meanwhile makes the whole activation fail: no disk stays.
func TestDeletedImageTakesItsFurtherDisksAlong(t *testing.T) {
	b := severalDisks(t)
	b.scriptDisk(contract.StageStore, 2, func() error {
		_, err := b.cat.DeleteImage(context.Background(), imageID)
		return err
	})
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.Conflict {
		t.Errorf("ended with %+v", v)
	}
	if images := b.images(); len(images) != 0 {
		t.Errorf("images are left: %v", images)
	}
}

// What a lost host had of the first disks is removed there, and made again.
func TestHostLostBetweenDisks(t *testing.T) {
	b := severalDisks(t)
	b.scriptDisk(contract.StageConvert, 2, func() error { return errcode.New(errcode.StagingLost, "gone") })
	got, err := b.run(request)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, c := range b.steps.Cleanups() {
		keys = append(keys, fmt.Sprint(c.Key, c.Success))
	}
	// The first round had begun two uploads; the second one's are the images'.
	want := []string{diskKey(1) + "false", diskKey(2) + "false"}
	for n := 1; n <= 3; n++ {
		want = append(want, b.images()[diskImage(n)].Key+"true")
	}
	if diff := cmp.Diff(want, keys); len(got.Images) != 3 || diff != "" {
		t.Errorf("%d images; cleanups (-want +got):\n%s", len(got.Images), diff)
	}
}

// The catalogue answers late: all images or none, and all in the end.
func TestSeveralImagesSurviveASilentCatalogue(t *testing.T) {
	b := severalDisks(t)
	b.env.SetOnActivityStartedListener(func(info *activityInfo, _ context.Context, _ encoded) {
		if info.ActivityType.Name == contract.ActivateActivity && info.Attempt == 1 {
			b.repo.Down.Store(5)
		}
	})
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	for id, img := range b.images() {
		if img.Status != metadata.ImageActive {
			t.Errorf("image %s is %s", id, img.Status)
		}
	}
}

func TestProgressSaysWhichDisk(t *testing.T) {
	b := severalDisks(t)
	var seen []string
	ask := func() {
		var p contract.Progress
		v, err := b.env.QueryWorkflow(contract.ProgressQuery)
		if err == nil {
			err = v.Get(&p)
		}
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, fmt.Sprintf("%d of %d: %d", p.Disk, p.Disks, p.Bytes))
	}
	tell := func(disk int, bytes int64) {
		b.env.SignalWorkflow(contract.ProgressSignal, contract.Progress{Stage: contract.StageConvert, Attempt: 1, Bytes: bytes, Disk: disk})
	}
	calls, done := 0, make(chan struct{})
	b.script(contract.StageConvert, func(context.Context) error {
		if calls++; calls == 2 {
			b.env.RegisterDelayedCallback(func() {
				ask()
				tell(1, 99) // late, of the disk before
				tell(2, 7)
			}, 0)
			b.env.RegisterDelayedCallback(func() { ask(); close(done) }, 1e9)
			<-done
		}
		return nil
	}, &activitytest.Steps{})
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2 of 3: 0", "2 of 3: 7"}, seen); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	events, err := b.cat.Events(context.Background(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]int{}
	for _, e := range events {
		if e.Kind == metadata.EventStage && e.Attempt > 0 {
			ends[fmt.Sprint(e.Stage, contract.DiskInMessage(e.Message))]++
		}
		if e.Kind == metadata.EventReport {
			ends["report "+e.Stage]++
		}
	}
	for n := 1; n <= 3; n++ {
		for _, s := range []string{"validate", "convert", "checksum", "store"} {
			if ends[fmt.Sprint(s, n)] != 1 {
				t.Errorf("%s of disk %d has %d ends in the history", s, n, ends[fmt.Sprint(s, n)])
			}
		}
	}
	if ends["report validate"] != 3 {
		t.Errorf("%d reports of validation, want one for each disk", ends["report validate"])
	}
}
