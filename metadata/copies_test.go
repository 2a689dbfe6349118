package metadata_test

import (
	"context"
	"encoding/json"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func at(store string) metadata.Location {
	return metadata.Location{Store: store, Key: "image-1/in-" + store}
}

// copyTask accepts and starts a task that copies image 1.
func (f *fixture) copyTask(id string) {
	f.t.Helper()
	_, err := f.Accept(f.t.Context(), metadata.NewImport{Copy: true, Task: metadata.Task{ID: id, ImageID: "image-1", Owner: "p", Request: json.RawMessage(`{"method":"copy-image"}`)}})
	f.ok(err)
	f.ok(f.StartCopy(f.t.Context(), id))
}

func (f *fixture) active() {
	f.t.Helper()
	f.started("1")
	f.ok(f.Activate(f.t.Context(), activation("1")))
}

func TestImportIntoSeveralStores(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	f.ok(f.MarkStores(ctx, "task-1", "image-1", []string{"fs", "b", "c"}, nil))
	f.same(f.row("image-1").Properties, map[string]string{"os_distro": "mine", metadata.PropImportingStores: "fs,b,c", metadata.PropFailedStores: ""})
	a := activation("1")
	a.Images[0].Copies, a.Images[0].FailedStores = []metadata.Location{at("b")}, []string{"c"}
	f.ok(f.Activate(ctx, a))
	f.ok(f.Activate(ctx, a))
	img := f.row("image-1")
	f.same(img.Locations(), []metadata.Location{{Store: "fs", Key: "image-1/upload-1"}, at("b")})
	f.same(img.Properties, map[string]string{"os_distro": "mine", "os_version": "12", metadata.PropImportingStores: "", metadata.PropFailedStores: "c"})
	keys, err := f.LiveKeys(ctx)
	f.ok(err)
	f.same(keys, img.Locations())
	// A task that has ended marks nothing.
	f.ok(f.MarkStores(ctx, "task-1", "image-1", []string{"x"}, nil))
	f.same(f.row("image-1"), img)
	gone, err := f.DeleteImage(ctx, "image-1")
	f.ok(err)
	f.same(gone, img.Locations())

	f.started("2")
	for _, bad := range [][]metadata.Location{{at("fs")}, {at("b"), at("b")}, {{Store: "b"}}} {
		a := activation("2")
		a.Images[0].Copies = bad
		f.unchanged(errcode.BadRequest, func(ctx context.Context) error { return f.Activate(ctx, a) })
	}
}

func TestFailedImportTellsItsStores(t *testing.T) {
	f := newFixture(t)
	f.started("1")
	f.ok(f.MarkStores(t.Context(), "task-1", "image-1", []string{"fs", "b"}, []string{"c"}))
	f.ok(f.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.NoSpace}))
	img := f.row("image-1")
	f.same(img.Properties, map[string]string{"os_distro": "mine", metadata.PropImportingStores: "", metadata.PropFailedStores: "c,fs,b"})
	if img.Status != metadata.ImageQueued {
		t.Errorf("image is %s", img.Status)
	}
}

func TestCopyTask(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.active()
	f.copyTask("copy")
	f.unchanged(errcode.Conflict, func(ctx context.Context) error {
		_, err := f.Accept(ctx, metadata.NewImport{Copy: true, Task: metadata.Task{ID: "other", ImageID: "image-1", Owner: "p"}})
		return err
	})
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { _, err := f.RemoveCopy(ctx, "image-1", "fs"); return err })
	f.ok(f.MarkStores(ctx, "copy", "image-1", []string{"b", "c"}, nil))
	if img := f.row("image-1"); img.Status != metadata.ImageActive || img.Properties[metadata.PropImportingStores] != "b,c" {
		t.Errorf("during the copy: %+v", img)
	}
	done := metadata.CopiesDone{TaskID: "copy", Copies: []metadata.Location{at("b")}, Failed: []string{"c"}, Result: json.RawMessage(`{}`)}
	f.ok(f.AddCopies(ctx, done))
	f.ok(f.AddCopies(ctx, done)) // a repetition
	img := f.row("image-1")
	f.same(img.Locations(), []metadata.Location{{Store: "fs", Key: "image-1/upload-1"}, at("b")})
	f.same(img.Properties[metadata.PropFailedStores], "c")
	if left, told := img.Properties[metadata.PropImportingStores]; left != "" || !told {
		t.Errorf("clients wait for the stores %q (told: %v)", left, told)
	}
	if task := f.task("copy"); task.Status != metadata.TaskSuccess || task.Stage != metadata.StageDone {
		t.Errorf("task %+v", task)
	}
	other := done
	other.Copies = []metadata.Location{{Store: "b", Key: "elsewhere"}}
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { return f.AddCopies(ctx, other) })

	f.copyTask("again")
	f.unchanged(errcode.Conflict, func(ctx context.Context) error {
		return f.AddCopies(ctx, metadata.CopiesDone{TaskID: "again", Copies: []metadata.Location{{Store: "fs", Key: "elsewhere"}}})
	})
	f.ok(f.Fail(ctx, "again", metadata.TaskError{Code: errcode.StoreUnavailable}))
	if img := f.row("image-1"); img.Status != metadata.ImageActive || img.Size == nil {
		t.Errorf("a failed copy changed the image: %+v", img)
	}
}

func TestCopyNeedsAnActiveImage(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	in := metadata.NewImport{Copy: true, Task: metadata.Task{ID: "copy", ImageID: "image-1", Owner: "p"}}
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.Accept(ctx, in); return err })
	f.started("1")
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { _, err := f.Accept(ctx, in); return err })
	f.ok(f.Activate(ctx, activation("1")))
	foreign := in
	foreign.Task.Owner = "q"
	foreign.Image.Owner = "q"
	f.unchanged(errcode.Forbidden, func(ctx context.Context) error { _, err := f.Accept(ctx, foreign); return err })
	f.copyTask("copy")
	_, err := f.DeleteImage(ctx, "image-1")
	f.ok(err)
	f.refused(f.StartCopy(ctx, "copy"), errcode.Conflict)
	f.refused(f.AddCopies(ctx, metadata.CopiesDone{TaskID: "copy", Copies: []metadata.Location{at("b")}}), errcode.Conflict)
}

func TestRemoveCopy(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.active()
	remove := func(store string) (loc metadata.Location) {
		t.Helper()
		loc, err := f.RemoveCopy(ctx, "image-1", store)
		f.ok(err)
		return loc
	}
	f.unchanged(errcode.Forbidden, func(ctx context.Context) error { _, err := f.RemoveCopy(ctx, "image-1", "fs"); return err })
	f.copyTask("copy")
	f.ok(f.AddCopies(ctx, metadata.CopiesDone{TaskID: "copy", Copies: []metadata.Location{at("b"), at("c"), at("d")}}))
	_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error { img.Copies[0].Status = "unknown"; return nil })
	f.ok(err)
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.RemoveCopy(ctx, "image-1", "x"); return err })
	f.same(remove("d"), at("d"))
	// The first location goes: the next one that is sound takes its place.
	f.same(remove("fs"), metadata.Location{Store: "fs", Key: "image-1/upload-1"})
	img := f.row("image-1")
	f.same(img.Locations(), []metadata.Location{at("c")})
	if !img.Names(at("b")) || !img.Names(metadata.Location{Key: at("c").Key}) || img.Names(at("d")) {
		t.Errorf("the image names the wrong objects: %+v", img)
	}
	f.unchanged(errcode.Forbidden, func(ctx context.Context) error { _, err := f.RemoveCopy(ctx, "image-1", "c"); return err })
	f.same(remove("b"), at("b"))
}
