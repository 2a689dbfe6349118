package metadata_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// bulkItems makes n items of hosts h0, h1, h2 in turn.
func bulkItems(n int) []metadata.BulkItem {
	var out []metadata.BulkItem
	for i := 1; i <= n; i++ {
		out = append(out, metadata.BulkItem{N: i, Key: fmt.Sprint(i), Host: fmt.Sprintf("h%d", i%3), Digest: fmt.Sprint("d", i), Urgency: 5,
			Request: json.RawMessage(fmt.Sprintf(`{"source":{"url":"http://h%d/%d"},"image":{"name":"n%d"}}`, i%3, i, i))})
	}
	return out
}

// prepare is what activities say of an item.
func prepare(b metadata.Bulk, it metadata.BulkItem) (metadata.NewImport, error) {
	task := fmt.Sprintf("%s-%d-%d", b.ID, it.N, it.Attempt)
	image := it.ImageID
	if image == "" {
		image = "image-" + task
	}
	return metadata.NewImport{
		Task:  metadata.Task{ID: task, Type: "import", Owner: b.Owner, ImageID: image, WorkflowID: "import/" + task, Request: it.Request},
		Image: metadata.Image{ID: image, Name: "n" + it.Key, Properties: map[string]string{"mine": it.Key}},
	}, nil
}

// bulk writes a bulk of the items down.
func (f *fixture) bulk(id string, s metadata.BulkSettings, items []metadata.BulkItem) metadata.Bulk {
	f.t.Helper()
	b, existed, err := f.AddBulk(f.t.Context(), metadata.Bulk{ID: id, Owner: "p", Digest: "digest of " + id, Settings: s, WorkflowID: "bulk/p/" + id}, items, false)
	if err != nil || existed {
		f.t.Fatalf("existed %v, %v", existed, err)
	}
	return b
}

// step takes a step of a bulk at a moment.
func (f *fixture) step(id string, at time.Time) metadata.BulkStep {
	f.t.Helper()
	out, err := f.StepBulk(f.t.Context(), id, metadata.BulkStepper{Now: at, Most: 4, Default: 8, Prepare: prepare,
		Further: func(task, image string, n int) string { return fmt.Sprintf("%s.%d", image, n) }})
	f.ok(err)
	return out
}

// begun lists the numbers of the items that a step has begun.
func begun(s metadata.BulkStep) string {
	var out []string
	for _, b := range s.Begun {
		out = append(out, fmt.Sprint(b.N))
	}
	return strings.Join(out, " ")
}

// succeed ends the task of an item's attempt with an image of so many bytes.
func (f *fixture) succeed(id string, n, attempt int, size int64) {
	f.t.Helper()
	task := fmt.Sprintf("%s-%d-%d", id, n, attempt)
	img := disk("image-" + task)
	img.Size, img.HashValue = size, "hash of "+task
	f.ok(f.Start(f.t.Context(), task))
	f.ok(f.Activate(f.t.Context(), metadata.Activation{TaskID: task, Images: []metadata.ImageActivation{img},
		Result: json.RawMessage(fmt.Sprintf(`{"task_id":%q,"images":[{"image_id":%q,"location":"fs:%s"}]}`, task, img.ImageID, img.Key))}))
}

// lose ends the task of an item's attempt with a code.
func (f *fixture) lose(id string, n, attempt int, code errcode.Code) {
	f.t.Helper()
	task := fmt.Sprintf("%s-%d-%d", id, n, attempt)
	f.ok(f.Fail(f.t.Context(), task, metadata.TaskError{Code: code, Message: "lost"}))
}

// states are those of a bulk's items, by number.
func (f *fixture) states(id string) string {
	f.t.Helper()
	items, err := f.BulkItems(f.t.Context(), id, metadata.ItemFilter{})
	f.ok(err)
	var out []string
	for _, it := range items {
		word := string(it.State)
		if it.Code != "" {
			word += ":" + it.Code
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func (f *fixture) want(what, got, want string) {
	f.t.Helper()
	if got != want {
		f.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestBulkKeepsItsLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits metadata.BulkLimits
		begun  string
	}{
		{"of a server", metadata.BulkLimits{}, "1 2 3 4 5 6 7 8"},
		{"of its own", metadata.BulkLimits{Concurrency: 3}, "1 2 3"},
		{"of a host", metadata.BulkLimits{PerHost: 1}, "1 2 3"},
		{"of a store", metadata.BulkLimits{PerStore: 2}, "1 2"},
		{"of the project", metadata.BulkLimits{PerProject: 4}, "1 2 3 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.bulk("b", metadata.BulkSettings{Limits: c.limits}, bulkItems(10))
			var got []string
			for range 4 { // a step begins four at most
				if s := begun(f.step("b", noon)); s != "" {
					got = append(got, s)
				}
			}
			f.want("begun", strings.Join(got, " "), c.begun)
		})
	}
}

func TestBulkGoesByPriorities(t *testing.T) {
	f := newFixture(t)
	items := bulkItems(6)
	items[4].Urgency, items[1].Urgency = 0, 9
	f.bulk("b", metadata.BulkSettings{Limits: metadata.BulkLimits{Concurrency: 4}}, items)
	f.want("begun", begun(f.step("b", noon)), "5 1 3 4")
	// A retry of the step, whose answer was lost, begins nothing a second time.
	f.want("begun again", begun(f.step("b", noon)), "")
	s, err := f.StepBulk(t.Context(), "b", metadata.BulkStepper{Now: noon, Most: 4, Prepare: prepare, Again: true})
	f.ok(err)
	f.want("begun before", begun(s), "1 3 4 5")
}

func TestBulkEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		on     string
		end    func(*fixture)
		status metadata.BulkStatus
		states string
	}{
		{"well", "", func(f *fixture) { f.succeed("b", 1, 1, 5); f.succeed("b", 2, 1, 6) }, metadata.BulkSuccess, "active active active"},
		{"with a failure", "", func(f *fixture) { f.lose("b", 1, 1, errcode.Empty); f.succeed("b", 2, 1, 6) }, metadata.BulkPartial, "failed:IMG_EMPTY active active"},
		{"at a failure", metadata.OnFailureStop, func(f *fixture) { f.lose("b", 1, 1, errcode.Empty); f.succeed("b", 2, 1, 6) }, metadata.BulkFailure, "failed:IMG_EMPTY active cancelled:TASK_CANCELLED"},
		{"with a cancelled task", "", func(f *fixture) { f.lose("b", 1, 1, errcode.TaskCancelled); f.succeed("b", 2, 1, 6) }, metadata.BulkPartial, "cancelled:TASK_CANCELLED active active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.bulk("b", metadata.BulkSettings{OnFailure: c.on, Limits: metadata.BulkLimits{Concurrency: 2}}, bulkItems(3))
			f.want("begun", begun(f.step("b", noon)), "1 2")
			c.end(f)
			if s := f.step("b", noon); !s.Ended {
				f.want("begun then", begun(s), "3")
				f.succeed("b", 3, 1, 7)
			}
			s := f.step("b", noon)
			f.want("status", string(s.Bulk.Status), string(c.status))
			f.want("states", f.states("b"), c.states)
			if !s.Ended || s.Bulk.EndedAt == nil {
				t.Errorf("it has not ended: %+v", s)
			}
		})
	}
}

func TestBulkIsPausedCancelledAndTriedAgain(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.bulk("b", metadata.BulkSettings{Limits: metadata.BulkLimits{Concurrency: 1}}, bulkItems(3))
	f.step("b", noon)
	change := func(do, settings string) metadata.Bulk {
		t.Helper()
		b, err := f.ChangeBulk(ctx, "b", metadata.BulkChange{Do: do, Settings: json.RawMessage(settings)})
		f.ok(err)
		return b
	}
	if b := change(metadata.BulkPause, ""); b.Revision != 1 || b.Status != metadata.BulkPaused {
		t.Errorf("paused: %+v", b)
	}
	f.succeed("b", 1, 1, 5)
	f.want("begun while paused", begun(f.step("b", noon)), "")
	change(metadata.BulkResume, "")
	if b := change(metadata.BulkSet, `{"limits":{"concurrency":2}}`); b.Settings.Limits.Concurrency != 2 || b.Revision != 3 {
		t.Errorf("set: %+v", b)
	}
	f.want("begun with another limit", begun(f.step("b", noon)), "2 3")
	change(metadata.BulkAbort, "")
	f.want("stopped", strings.Join(f.step("b", noon).Stop, " "), "import/b-2-1 import/b-3-1")
	f.lose("b", 2, 1, errcode.TaskCancelled)
	f.lose("b", 3, 1, errcode.Empty)
	if s := f.step("b", noon); s.Bulk.Status != metadata.BulkCancelled || !s.Ended {
		t.Errorf("cancelled: %+v", s)
	}
	_, err := f.ChangeBulk(ctx, "b", metadata.BulkChange{Do: metadata.BulkPause})
	f.refused(err, errcode.Conflict)
	change(metadata.BulkRetry, "")
	f.want("states of another try", f.states("b"), "active pending pending")
	f.want("begun again", begun(f.step("b", noon)), "2 3")
	task, err := f.Task(ctx, "b-2-2")
	f.ok(err)
	f.want("image of the second attempt", task.ImageID, "image-b-2-1")
}

func TestBulkWaitsForItsWindow(t *testing.T) {
	f := newFixture(t)
	f.bulk("b", metadata.BulkSettings{Windows: []string{"22:00-06:00 UTC"}}, bulkItems(1))
	s := f.step("b", noon)
	if s.Ended || begun(s) != "" || !s.Wake.Equal(noon.Add(10*time.Hour)) {
		t.Errorf("outside its window: %+v", s)
	}
	f.want("begun in its window", begun(f.step("b", noon.Add(10*time.Hour))), "1")
}

func TestBulkShutsAHostThatDoesNotAnswer(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.bulk("b", metadata.BulkSettings{Limits: metadata.BulkLimits{Concurrency: 2}, Breaker: metadata.Breaker{Failures: 3, Pause: 10, GiveUp: 100}}, bulkItems(9))
	f.want("begun", begun(f.step("b", noon)), "1 2")
	for range 3 { // item 1 is of h1
		f.ok(f.SetStage(ctx, "b-1-1", metadata.Event{Stage: "fetch", Attempt: 1, Code: string(errcode.SourceUnreachable)}))
		f.ok(f.SetStage(ctx, "b-1-1", metadata.Event{Stage: "fetch"})) // the same twice is dropped
	}
	// What waits for the host takes nobody's place, and nothing more begins from it.
	s := f.step("b", noon)
	f.want("begun from others", begun(s), "3")
	if !s.Wake.Equal(noon.Add(10 * time.Second)) {
		t.Errorf("wakes at %v", s.Wake)
	}
	f.succeed("b", 2, 1, 1)
	f.succeed("b", 3, 1, 1)
	f.want("one tries", begun(f.step("b", noon.Add(10*time.Second))), "4 5")
	f.want("one only", begun(f.step("b", noon.Add(11*time.Second))), "6")
	if g := f.gate("b", "h1"); g.Probe != 4 || g.Tries != 1 {
		t.Errorf("gate %+v", g)
	}
	// The one that tried has failed: the next waits longer.
	f.lose("b", 4, 1, errcode.SourceUnreachable)
	f.step("b", noon.Add(12*time.Second))
	if g := f.gate("b", "h1"); !g.Until.Equal(noon.Add(32*time.Second)) || g.Probe != 0 {
		t.Errorf("gate %+v", g)
	}
	// An attempt that is answered opens the host again.
	f.ok(f.SetStage(ctx, "b-1-1", metadata.Event{Stage: "fetch", Attempt: 4, Bytes: 1}))
	f.succeed("b", 5, 1, 1)
	f.succeed("b", 6, 1, 1)
	f.want("open again", begun(f.step("b", noon.Add(13*time.Second))), "7")
	// It is given up in the end, with what runs.
	for i := range 3 {
		f.ok(f.SetStage(ctx, "b-7-1", metadata.Event{Stage: "convert", Attempt: i + 1, Code: string(errcode.SourceTooSlow)}))
	}
	f.want("others go on", begun(f.step("b", noon.Add(14*time.Second))), "8 9")
	s = f.step("b", noon.Add(114*time.Second))
	f.want("stopped", strings.Join(s.Stop, " "), "import/b-1-1 import/b-7-1")
	f.lose("b", 1, 1, errcode.TaskCancelled)
	f.lose("b", 7, 1, errcode.TaskCancelled)
	f.succeed("b", 8, 1, 1)
	f.succeed("b", 9, 1, 1)
	s = f.step("b", noon.Add(115*time.Second))
	f.want("status", string(s.Bulk.Status), string(metadata.BulkPartial))
	f.want("states", f.states("b"), "failed:IMG_SOURCE_TOO_SLOW active active failed:IMG_SOURCE_UNREACHABLE active active failed:IMG_SOURCE_TOO_SLOW active active")
}

func (f *fixture) gate(id, host string) metadata.Gate {
	f.t.Helper()
	b, err := f.Bulk(f.t.Context(), id)
	f.ok(err)
	return b.Gates[host]
}

// Items of one source are one transfer, and as many images.
func TestBulkSharesBytesOfOneSource(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	items := bulkItems(4)
	items[2].SameAs, items[3].SameAs = 1, 2
	f.bulk("b", metadata.BulkSettings{}, items)
	f.want("begun", begun(f.step("b", noon)), "1 2")
	f.succeed("b", 1, 1, 5)
	f.lose("b", 2, 1, errcode.Empty)
	s := f.step("b", noon)
	f.want("status", string(s.Bulk.Status), string(metadata.BulkPartial))
	f.want("states", f.states("b"), "active failed:IMG_EMPTY active failed:IMG_EMPTY")
	one, err := f.Image(ctx, "image-b-1-1")
	f.ok(err)
	three, err := f.Image(ctx, "image-b-3-1")
	f.ok(err)
	if three.Key != one.Key || three.HashValue != one.HashValue || three.Status != metadata.ImageActive || three.Name != "n3" || three.Properties["mine"] != "3" {
		t.Errorf("the third image is %+v", three)
	}
	task, err := f.Task(ctx, "b-3-1")
	f.ok(err)
	f.want("result", string(task.Result), `{"images":[{"image_id":"image-b-3-1","location":"fs:image-b-1-1/upload-1"}],"task_id":"b-3-1"}`)
	// The object stays as long as one of them needs it.
	left, err := f.DeleteImage(ctx, one.ID)
	f.ok(err)
	if len(left) != 0 {
		t.Errorf("with the first image, %v would go", left)
	}
}

// The same manifest again does what is missing or has changed.
func TestBulkAgainDoesWhatIsMissing(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.bulk("b", metadata.BulkSettings{}, bulkItems(3))
	same, existed, err := f.AddBulk(ctx, metadata.Bulk{ID: "c", Owner: "p", Digest: "digest of b"}, bulkItems(3), false)
	f.ok(err)
	if !existed || same.ID != "b" {
		t.Errorf("while it runs: %+v, existed %v", same, existed)
	}
	f.step("b", noon)
	f.succeed("b", 1, 1, 5)
	f.succeed("b", 2, 1, 5)
	f.lose("b", 3, 1, errcode.Empty)
	f.step("b", noon)
	f.ok(f.deleted("image-b-2-1"))
	f.bulk("d", metadata.BulkSettings{}, bulkItems(4))
	f.want("states", f.states("d"), "skipped pending pending pending")
	f.want("begun", begun(f.step("d", noon)), "2 3 4")
}

func (f *fixture) deleted(id string) error {
	_, err := f.DeleteImage(context.Background(), id)
	return err
}

func TestRefusedBulkSettings(t *testing.T) {
	for _, s := range []metadata.BulkSettings{
		{Limits: metadata.BulkLimits{Concurrency: -1}}, {Limits: metadata.BulkLimits{PerHost: metadata.MaxConcurrency + 1}},
		{Windows: []string{"soon"}}, {OnFailure: "cry"}, {Breaker: metadata.Breaker{Pause: -1}},
	} {
		if err := s.Check(); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// An item that is tried again has the priority that was set last.
func TestBulkKeepsThePriorityOfAnItem(t *testing.T) {
	f := newFixture(t)
	f.bulk("b", metadata.BulkSettings{}, bulkItems(1))
	f.step("b", noon)
	nine := 9
	_, err := f.Steer(t.Context(), "b-1-1", metadata.Steering{Priority: &nine})
	f.ok(err)
	f.lose("b", 1, 1, errcode.SourceUnreachable)
	f.step("b", noon)
	_, err = f.ChangeBulk(t.Context(), "b", metadata.BulkChange{Do: metadata.BulkRetry})
	f.ok(err)
	f.want("begun", begun(f.step("b", noon)), "1")
	if got := f.task("b-1-2").Priority; got != nine {
		t.Errorf("tried again with priority %d, want %d", got, nine)
	}
}
