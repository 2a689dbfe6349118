package metadata_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

var noon = time.Date(2031, 5, 6, 12, 0, 0, 0, time.UTC)

// A fixture is a catalogue whose clock advances one second at each look.
type fixture struct {
	*metadata.Catalogue
	t     *testing.T
	repo  metadata.Repository
	clock time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	f := &fixture{t: t, repo: repo, clock: noon}
	f.Catalogue = metadata.New(repo, metadata.WithClock(func() time.Time {
		f.clock = f.clock.Add(time.Second)
		return f.clock
	}))
	return f
}

// imported returns the submission of task and image n of project p.
func imported(n string) metadata.NewImport {
	return metadata.NewImport{
		Task:  metadata.Task{ID: "task-" + n, Type: "import", Owner: "p", Stage: "register", Request: json.RawMessage(`{"source":{"url":"u"}}`)},
		Image: metadata.Image{ID: "image-" + n, Name: "disk", Properties: map[string]string{"os_distro": "mine"}, Tags: []string{"x"}},
	}
}

// started accepts and starts task and image n.
func (f *fixture) started(n string) {
	f.t.Helper()
	if _, err := f.Accept(f.t.Context(), imported(n)); err != nil {
		f.t.Fatal(err)
	}
	f.ok(f.Start(f.t.Context(), "task-"+n))
}

// activation is a whole one for task and image n.
func activation(n string) metadata.Activation {
	return metadata.Activation{TaskID: "task-" + n, Result: json.RawMessage(`{"task_id":"task-` + n + `"}`),
		Images: []metadata.ImageActivation{disk("image-" + n)}}
}

func disk(id string) metadata.ImageActivation {
	return metadata.ImageActivation{ImageID: id, DiskFormat: "qcow2", Size: 10, VirtualSize: 20, Checksum: "md5",
		HashAlgo: "sha512", HashValue: "hash", ContentDigest: "digest", Store: "fs", Key: id + "/upload-1",
		Properties: map[string]string{"os_distro": "found", "os_version": "12"}}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// refused fails the test unless err carries the code.
func (f *fixture) refused(err error, want errcode.Code) {
	f.t.Helper()
	if errcode.Of(err) != want {
		f.t.Errorf("error %v has code %q, want %q", err, errcode.Of(err), want)
	}
}

func (f *fixture) task(id string) metadata.Task {
	f.t.Helper()
	task, err := f.Task(f.t.Context(), id)
	f.ok(err)
	return task
}

// row returns an image even if it is deleted.
func (f *fixture) row(id string) metadata.Image {
	f.t.Helper()
	var img metadata.Image
	f.ok(f.repo.InTx(f.t.Context(), func(tx metadata.Tx) (err error) {
		img, err = tx.Image(f.t.Context(), id)
		return err
	}))
	return img
}

// history returns the events of a task in short: kind, status, stage.
func (f *fixture) history(id string) []string {
	f.t.Helper()
	events, err := f.Events(f.t.Context(), id)
	f.ok(err)
	var out []string
	for _, e := range events {
		if e.At.IsZero() || e.TaskID != id {
			f.t.Errorf("event without time or task: %+v", e)
		}
		out = append(out, e.Kind+" "+e.Status+" "+e.Stage)
	}
	return out
}

func (f *fixture) same(got, want any) {
	f.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.t.Errorf("(-want +got):\n%s", diff)
	}
}

// unchanged checks that fn, which must fail with the code, leaves the whole
// catalogue as it was.
func (f *fixture) unchanged(want errcode.Code, fn func(context.Context) error) {
	f.t.Helper()
	before := f.dump()
	f.refused(fn(f.t.Context()), want)
	f.same(f.dump(), before)
}

type dump struct {
	Images []metadata.Image
	Tasks  []metadata.Task
	Events map[string][]metadata.Event
}

func (f *fixture) dump() dump {
	f.t.Helper()
	ctx, d := f.t.Context(), dump{Events: map[string][]metadata.Event{}}
	var err error
	d.Images, err = f.Images(ctx, metadata.ImageFilter{Deleted: true})
	f.ok(err)
	d.Tasks, err = f.Tasks(ctx, metadata.TaskFilter{})
	f.ok(err)
	for _, task := range d.Tasks {
		d.Events[task.ID], err = f.Events(ctx, task.ID)
		f.ok(err)
	}
	return d
}
