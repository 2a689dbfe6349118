package metadata_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestActivate(t *testing.T) {
	f := newFixture(t)
	f.started("1")
	f.ok(f.Activate(t.Context(), activation("1")))
	got := f.row("image-1")
	size, virtual := int64(10), int64(20)
	f.same(got, metadata.Image{ID: "image-1", Name: "disk", Owner: "p", Status: metadata.ImageActive, Visibility: "shared",
		DiskFormat: "qcow2", ContainerFormat: "bare", Size: &size, VirtualSize: &virtual, Checksum: "md5",
		HashAlgo: "sha512", HashValue: "hash", ContentDigest: "digest", Store: "fs", Key: "image-1/upload-1",
		Tags: []string{"x"}, Properties: map[string]string{"os_distro": "mine", "os_version": "12"},
		CreatedAt: got.CreatedAt, UpdatedAt: got.UpdatedAt})
	if !got.UpdatedAt.After(got.CreatedAt) {
		t.Error("the image's time of change does not advance")
	}
	task := f.task("task-1")
	if task.Status != metadata.TaskSuccess || task.Stage != "done" || string(task.Result) != `{"task_id":"task-1"}` || task.Error != nil {
		t.Errorf("task %+v", task)
	}
	if task.ExpiresAt == nil || task.ExpiresAt.Sub(task.UpdatedAt) != 48*time.Hour {
		t.Errorf("task ended %v and expires %v", task.UpdatedAt, task.ExpiresAt)
	}
	f.same(f.history("task-1")[2:], []string{"status success done"})
}

func TestActivateRepeated(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	f.ok(f.Activate(ctx, activation("1")))
	before := f.dump()
	f.ok(f.Activate(ctx, activation("1")))
	f.same(f.dump(), before)

	// Another attempt with another upload has lost.
	late := activation("1")
	late.Images[0].Key = "image-1/upload-2"
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { return f.Activate(ctx, late) })
	more := activation("1")
	more.Images = append(more.Images, disk("image-9"))
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { return f.Activate(ctx, more) })

	// The image may have gone on since; the activation did happen.
	_, err := f.DeleteImage(ctx, "image-1")
	f.ok(err)
	f.ok(f.Activate(ctx, activation("1")))
}

func TestActivateRefused(t *testing.T) {
	tests := []struct {
		name  string
		setUp func(*fixture, *metadata.Activation)
		want  errcode.Code
	}{
		{"image deleted", func(f *fixture, _ *metadata.Activation) {
			_, err := f.DeleteImage(f.t.Context(), "image-1")
			f.ok(err)
		}, errcode.Conflict},
		{"task failed", func(f *fixture, _ *metadata.Activation) {
			f.ok(f.Fail(f.t.Context(), "task-1", metadata.TaskError{Code: errcode.TaskCancelled}))
		}, errcode.Conflict},
		{"task not started", func(f *fixture, a *metadata.Activation) {
			_, err := f.Accept(f.t.Context(), imported("2"))
			f.ok(err)
			*a = activation("2")
		}, errcode.StatusTransition},
		{"no disk format", func(_ *fixture, a *metadata.Activation) { a.Images[0].DiskFormat = "" }, errcode.Conflict},
		{"no task", func(_ *fixture, a *metadata.Activation) { a.TaskID = "none" }, errcode.NotFound},
		{"no images", func(_ *fixture, a *metadata.Activation) { a.Images = nil }, errcode.BadRequest},
		{"no key", func(_ *fixture, a *metadata.Activation) { a.Images[0].Key = "" }, errcode.BadRequest},
		{"negative size", func(_ *fixture, a *metadata.Activation) { a.Images[0].Size = -1 }, errcode.BadRequest},
		{"another image only", func(_ *fixture, a *metadata.Activation) { a.Images[0].ImageID = "image-7" }, errcode.BadRequest},
		{"an image twice", func(_ *fixture, a *metadata.Activation) { a.Images = append(a.Images, a.Images[0]) }, errcode.BadRequest},
		{"second disk takes a used id", func(f *fixture, a *metadata.Activation) {
			_, err := f.CreateImage(f.t.Context(), metadata.Image{ID: "image-2", Owner: "q"})
			f.ok(err)
			a.Images = append(a.Images, disk("image-2"))
		}, errcode.Conflict},
		{"second disk is not whole", func(_ *fixture, a *metadata.Activation) {
			a.Images = append(a.Images, disk("image-2"))
			a.Images[1].DiskFormat = ""
		}, errcode.Conflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.started("1")
			a := activation("1")
			tt.setUp(f, &a)
			f.unchanged(tt.want, func(ctx context.Context) error { return f.Activate(ctx, a) })
		})
	}
}

// TestActivateSeveralDisks ends the import of an OVA with two disks, whose
// second name comes from within it.
func TestActivateSeveralDisks(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	a := activation("1")
	second := disk("image-2")
	second.Name = "data\x00" + strings.Repeat("é", 300)
	second.Properties = map[string]string{"note": "\xff"}
	second.MinDisk = 7
	a.Images = append(a.Images, second, disk("image-3"))
	f.ok(f.Activate(ctx, a))
	for id, want := range map[string]string{"image-1": "disk", "image-2": "data\uFFFD" + strings.Repeat("é", 250), "image-3": "disk"} {
		img, err := f.Image(ctx, id)
		f.ok(err)
		if img.Status != metadata.ImageActive || img.Owner != "p" || img.Name != want || img.Key != id+"/upload-1" || *img.Size != 10 {
			t.Errorf("image %+v", img)
		}
	}
	f.same(f.row("image-2").Properties, map[string]string{"os_distro": "mine", "note": "\uFFFD"})
	for id, want := range map[string]int64{"image-1": 0, "image-2": 7, "image-3": 0} {
		if got := f.row(id).MinDisk; got != want {
			t.Errorf("%s: min_disk %d, want %d", id, got, want)
		}
	}
	events, err := f.Events(ctx, "task-1")
	f.ok(err)
	if got := events[len(events)-1].Bytes; got != 30 {
		t.Errorf("%d bytes stored by the last event, want 30", got)
	}
	f.ok(f.Activate(ctx, a))
	keys, err := f.LiveKeys(ctx)
	f.ok(err)
	if len(keys) != 3 {
		t.Errorf("live keys %v", keys)
	}
}
