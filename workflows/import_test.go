package workflows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

var (
	fetched   = contract.Fetched{URL: request.Source.URL, Driver: "http", Size: activitytest.SourceSize, Validator: `"e1"`, Strong: true, Staged: true}
	detected  = contract.Detected{Format: "vmdk", Subformat: "streamOptimized", VirtualSize: 10 << 30, AllocatedSize: -1}
	target    = contract.TargetSpec{Format: "qcow2", Compression: "none", Store: "local"}
	converted = contract.Converted{Store: "local", UploadID: key(1)[37:], Size: 3 << 30, VirtualSize: 10 << 30, SourceSize: 10 << 30, ContentDigest: "ingest1:aa"}
	summed    = contract.Checksummed{HashAlgo: "sha256", HashValue: "bb"}
	result    = contract.ImportResult{TaskID: taskID, Images: []contract.ImageResult{{
		ImageID: imageID, DiskFormat: "qcow2", Size: 3 << 30, VirtualSize: 10 << 30, ContentDigest: "ingest1:aa",
		HashAlgo: "sha256", HashValue: "bb", Location: "store://local/" + key(1),
	}}}
)

func TestImportRunsItsStagesInOrder(t *testing.T) {
	b := newBench(t)
	got, err := b.run(request)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	want := []activitytest.Call{
		{Stage: contract.StageFetch, Params: contract.FetchParams{TaskID: taskID, ImageID: imageID, Source: request.Source, Project: request.Owner, Ahead: &contract.Ahead{Target: request.Target, Round: 1}}},
		{Stage: contract.StageDetect, Params: contract.DetectParams{TaskID: taskID, ImageID: imageID, Fetched: fetched}},
		{Stage: contract.StageValidate, Params: contract.ValidateParams{TaskID: taskID, ImageID: imageID, Fetched: fetched, Detected: detected}},
		{Stage: contract.StageConvert, Params: contract.ConvertParams{TaskID: taskID, ImageID: imageID, Fetched: fetched, Detected: detected, Target: target, Key: key(1)}},
		{Stage: contract.StageChecksum, Params: contract.ChecksumParams{TaskID: taskID, ImageID: imageID, Target: target, Converted: converted}},
		{Stage: contract.StageStore, Params: contract.StoreParams{TaskID: taskID, ImageID: imageID, Key: key(1), Converted: converted, Checksummed: summed}},
		{Stage: contract.StageCleanup, Params: contract.CleanupParams{TaskID: taskID, ImageID: imageID, Store: "local", Key: key(1), Success: true}},
	}
	if diff := cmp.Diff(want, b.steps.Calls()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
	if img := b.image(); img.Key != key(1) || img.Store != "local" || *img.Size != 3<<30 || img.HashValue != "bb" || img.Name != "disk" {
		t.Errorf("image is %+v", img)
	}
	if b.upserts != 3 {
		t.Errorf("%d writes of search attributes, want one at each of three milestones", b.upserts)
	}
}

// The other files of an image, and the level of verification, reach the steps
// that need them and the result.
func TestMembersAndVerifyReachTheSteps(t *testing.T) {
	b := newBench(t)
	r := request
	r.Verify = contract.VerifyStored
	r.Source.Members = []contract.MemberSpec{{URL: "https://images.example.org/disk-s001.vmdk?sig=secret"}}
	got, err := b.run(r)
	if err != nil {
		t.Fatal(err)
	}
	if img := got.Images[0]; img.Verify != contract.VerifyStored || img.Location == result.Images[0].Location {
		t.Errorf("image %+v, want it verified as asked, under a key that covers the member", img)
	}
	want := contract.FetchedMember{Name: "disk-s001.vmdk", Fetched: fetched}
	want.URL = r.Source.Members[0].URL
	for _, c := range b.steps.Calls() {
		var f contract.Fetched
		var verify string
		switch p := c.Params.(type) {
		case contract.DetectParams:
			f, verify = p.Fetched, contract.VerifyStored
		case contract.ValidateParams:
			f, verify = p.Fetched, p.Verify
		case contract.ConvertParams:
			f, verify = p.Fetched, contract.VerifyStored
		case contract.ChecksumParams:
			f.Members, verify = []contract.FetchedMember{want}, p.Verify
		default:
			continue
		}
		if diff := cmp.Diff([]contract.FetchedMember{want}, f.Members); diff != "" || verify != contract.VerifyStored {
			t.Errorf("%s: verify %q, members (-want +got):\n%s", c.Stage, verify, diff)
		}
	}
	events, err := b.cat.Events(context.Background(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	reports := 0
	for _, e := range events {
		if e.Kind == metadata.EventReport && e.Stage == "fetch" {
			reports++
			if s := string(e.Detail); !strings.Contains(s, "disk-s001.vmdk") || strings.Contains(s, "secret") {
				t.Errorf("report of the fetch: %s", s)
			}
		}
	}
	if reports != 1 {
		t.Errorf("%d reports of the fetch, want 1", reports)
	}
}

// A busy host is the same host also for an image of several files.
func TestBusyHostKeepsItsRoundWithMembers(t *testing.T) {
	b := newBench(t)
	b.silent(1)
	b.steps.OnFetch = func(context.Context, contract.FetchParams, pipeline.Observe) (contract.Fetched, error) {
		f := fetched
		f.Queue = "ingest-host-a"
		f.Members = []contract.FetchedMember{{Name: "a", Fetched: fetched}}
		return f, nil
	}
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(1, len(b.steps.Cleanups())); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestRefusedVerify(t *testing.T) {
	b := newBench(t)
	r := request
	r.Verify = "some"
	_, err := b.run(r)
	if v := ended(t, err); v.Code != errcode.BadRequest || len(b.order()) != 0 {
		t.Errorf("error %+v after %v", v, b.order())
	}
}

// Each stage leaves a begin and an end in the task's history, and what it
// found.
func TestHistoryHasEveryStage(t *testing.T) {
	b := newBench(t)
	if _, err := b.run(request); err != nil {
		t.Fatal(err)
	}
	events, err := b.cat.Events(context.Background(), taskID)
	if err != nil {
		t.Fatal(err)
	}
	begun, done, reports := map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range events {
		switch {
		case e.Kind == metadata.EventReport:
			reports[e.Stage]++
		case e.Kind == metadata.EventStage && e.Attempt == 0:
			begun[e.Stage]++
		case e.Kind == metadata.EventStage:
			done[e.Stage]++
		}
	}
	for _, s := range []string{"fetch", "detect", "validate", "convert", "checksum", "store"} {
		if begun[s] != 1 || done[s] != 1 {
			t.Errorf("%s has %d begins and %d ends, want one of each", s, begun[s], done[s])
		}
	}
	if reports["detect"] != 1 || reports["validate"] != 1 {
		t.Errorf("reports: %v, want one of detect and one of validate", reports)
	}
}

// fail makes one stage end with err, times times.
func fail(b *bench, s contract.Stage, err error, times int) {
	left := times
	next := func() error {
		if left == 0 {
			return nil
		}
		left--
		return err
	}
	plain := &activitytest.Steps{}
	b.script(s, func(ctx context.Context) error { return next() }, plain)
}

// script makes one stage call fn first, and end with its error if there is one.
func (b *bench) script(s contract.Stage, fn func(context.Context) error, plain *activitytest.Steps) {
	switch s {
	case contract.StageFetch:
		b.steps.OnFetch = func(ctx context.Context, p contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
			if err := fn(ctx); err != nil {
				return contract.Fetched{}, err
			}
			return plain.Fetch(ctx, p, o)
		}
	case contract.StageDetect:
		b.steps.OnDetect = scriptDetect(fn, plain)
	case contract.StageValidate:
		b.steps.OnValidate = scriptValidate(fn, plain)
	case contract.StageConvert:
		b.steps.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
			if err := fn(ctx); err != nil {
				return contract.Converted{}, err
			}
			return plain.Convert(ctx, p, o)
		}
	case contract.StageChecksum:
		b.steps.OnChecksum = func(ctx context.Context, p contract.ChecksumParams, r []byte, o pipeline.Observe) (contract.Checksummed, error) {
			if err := fn(ctx); err != nil {
				return contract.Checksummed{}, err
			}
			return plain.Checksum(ctx, p, r, o)
		}
	case contract.StageStore:
		b.steps.OnCommit = func(ctx context.Context, p contract.StoreParams) (contract.Stored, error) {
			if err := fn(ctx); err != nil {
				return contract.Stored{}, err
			}
			return plain.Commit(ctx, p)
		}
	default:
		b.t.Fatalf("stage %s has no step", s)
	}
}

var stepStages = []contract.Stage{contract.StageFetch, contract.StageDetect, contract.StageValidate,
	contract.StageConvert, contract.StageChecksum, contract.StageStore}

// undone checks that whatever was begun was removed, once.
func (b *bench) undone(at contract.Stage) {
	b.t.Helper()
	want := contract.CleanupParams{TaskID: taskID, ImageID: imageID}
	switch at {
	case contract.StageConvert, contract.StageChecksum, contract.StageStore, contract.StageActivate:
		want.Store, want.Key = "local", key(1)
	}
	if diff := cmp.Diff([]contract.CleanupParams{want}, b.steps.Cleanups()); diff != "" {
		b.t.Errorf("cleanups (-want +got):\n%s", diff)
	}
}

func TestPermanentErrorIsUndoneAndRecorded(t *testing.T) {
	for _, s := range stepStages {
		t.Run(string(s), func(t *testing.T) {
			b := newBench(t)
			cause := errcode.New(errcode.QCOW2BackingFile, "the image names a backing file").
				With(errcode.Evidence{Format: "qcow2", Field: "backing_file_offset", Offset: errcode.At(8)})
			fail(b, s, cause, -1)
			_, err := b.run(request)
			v := ended(t, err)
			want := contract.ValueOf(cause)
			if diff := cmp.Diff(want, v); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			calls := 0
			for _, c := range b.steps.Calls() {
				if c.Stage == s {
					calls++
				}
			}
			if calls != 1 {
				t.Errorf("%s was run %d times, want once", s, calls)
			}
			b.undone(s)
			b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
			e := b.task().Error
			wantTask := &metadata.TaskError{Code: want.Code, Message: want.Message, Stage: string(s), Evidence: want.Evidence, Remedy: want.Remedy}
			if diff := cmp.Diff(wantTask, e); diff != "" {
				t.Errorf("task's error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetryableErrorIsTriedAgain(t *testing.T) {
	for _, s := range stepStages {
		t.Run(string(s), func(t *testing.T) {
			b := newBench(t)
			fail(b, s, errcode.New(errcode.StoreUnavailable, "503"), 2)
			got, err := b.run(request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(result, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
		})
	}
}

func TestTransferGivesUp(t *testing.T) {
	b := newBench(t)
	fail(b, contract.StageFetch, errcode.New(errcode.SourceUnreachable, "no route"), -1)
	begun := b.env.Now()
	_, err := b.run(request)
	if v := ended(t, err); v.Code != errcode.SourceUnreachable {
		t.Errorf("code %s, want %s", v.Code, errcode.SourceUnreachable)
	}
	if n := len(b.steps.Calls()); n != 60+1 {
		t.Errorf("%d calls, want 60 attempts and one cleanup", n)
	}
	if took := b.env.Now().Sub(begun); took < 10*time.Minute || took > time.Hour {
		t.Errorf("gave up after %s, want between ten minutes and an hour", took)
	}
}

func TestUnknownErrorKeepsItsTextToItself(t *testing.T) {
	b := newBench(t)
	fail(b, contract.StageValidate, errors.New("dial tcp 10.1.2.3: secret"), -1)
	_, err := b.run(request)
	want := contract.ValueOf(errors.New(""))
	if diff := cmp.Diff(want, ended(t, err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestPanicOfAReader(t *testing.T) {
	for s, want := range map[contract.Stage]errcode.Code{
		contract.StageDetect: errcode.ParserCrash, contract.StageValidate: errcode.ParserCrash,
		contract.StageConvert: errcode.ParserCrash, contract.StageChecksum: errcode.Internal,
	} {
		t.Run(string(s), func(t *testing.T) {
			b := newBench(t)
			b.script(s, func(context.Context) error { panic("index out of range") }, &activitytest.Steps{})
			_, err := b.run(request)
			if v := ended(t, err); v.Code != want {
				t.Errorf("code %s, want %s", v.Code, want)
			}
			b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
		})
	}
}

func TestMismatchIsReadTwice(t *testing.T) {
	for _, times := range []int{1, 2} {
		b := newBench(t)
		fail(b, contract.StageChecksum, errcode.New(errcode.VerifyMismatch, "digest differs"), times)
		_, err := b.run(request)
		switch {
		case times == 1 && err != nil:
			t.Errorf("one mismatch: %v, want success", err)
		case times == 2:
			if v := ended(t, err); v.Code != errcode.VerifyMismatch {
				t.Errorf("two mismatches: code %s, want %s", v.Code, errcode.VerifyMismatch)
			}
			b.undone(contract.StageChecksum)
		}
	}
}
