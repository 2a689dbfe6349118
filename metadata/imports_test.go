package metadata_test

import (
	"context"
	"encoding/json"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestAcceptRecordsTaskAndImage(t *testing.T) {
	f := newFixture(t)
	in := imported("1")
	in.Task.Status, in.Task.Restarts, in.Image.Status = metadata.TaskSuccess, 7, metadata.ImageActive // not for the caller to say
	got, err := f.Accept(t.Context(), in)
	f.ok(err)
	if !got.Created || got.Task.Status != metadata.TaskPending || got.Task.Restarts != 0 || got.Task.ImageID != "image-1" {
		t.Errorf("accepted %+v", got)
	}
	if got.Image.Status != metadata.ImageQueued || got.Image.Visibility != "shared" || got.Image.Owner != "p" || got.Image.ContainerFormat != "bare" {
		t.Errorf("image %+v", got.Image)
	}
	f.same(f.task("task-1"), got.Task)
	f.same(f.row("image-1"), got.Image)
	f.same(f.history("task-1"), []string{"status pending register"})
}

func TestAcceptRepeated(t *testing.T) {
	request := func(s string) json.RawMessage { return json.RawMessage(s) }
	keyed := func(id, image, req string) metadata.NewImport {
		in := imported("1")
		in.Task.ID, in.Image.ID, in.Task.IdempotencyKey, in.Task.Request = id, image, "k", request(req)
		return in
	}
	first := `{"task_id":"a","image_id":"a","source":{"url":"u","n":10000000000000000001},"tags":[1,2]}`
	tests := []struct {
		name string
		in   metadata.NewImport
		want errcode.Code // "" means the first task again
	}{
		{"same id", keyed("a", "a", `{"other":true}`), ""},
		{"same key, all the same", keyed("b", "b", first), ""},
		{"same key, other order, space and ids", keyed("b", "b", ` { "tags":[1, 2], "request_id":"r", "source":{"n":10000000000000000001,"url":"u"}, "task_id":"b"}`), ""},
		{"same key, other url", keyed("b", "b", `{"source":{"url":"v","n":10000000000000000001},"tags":[1,2]}`), errcode.IdempotencyReuse},
		{"same key, other order of a list", keyed("b", "b", `{"source":{"url":"u","n":10000000000000000001},"tags":[2,1]}`), errcode.IdempotencyReuse},
		{"same key, number beyond a float", keyed("b", "b", `{"source":{"url":"u","n":10000000000000000002},"tags":[1,2]}`), errcode.IdempotencyReuse},
		{"same key, id within the source", keyed("b", "b", `{"source":{"url":"u","n":10000000000000000001,"task_id":"b"},"tags":[1,2]}`), errcode.IdempotencyReuse},
		{"same key, no request", keyed("b", "b", ``), errcode.IdempotencyReuse},
		{"same id, other owner", func() metadata.NewImport { in := keyed("a", "a", first); in.Task.Owner = "q"; return in }(), errcode.Conflict},
		{"other id, same image", func() metadata.NewImport { in := keyed("b", "a", first); in.Task.IdempotencyKey = ""; return in }(), errcode.Conflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			old, err := f.Accept(t.Context(), keyed("a", "a", first))
			f.ok(err)
			before := f.dump()
			got, err := f.Accept(t.Context(), tt.in)
			f.refused(err, tt.want)
			if tt.want == "" {
				old.Created = false
				f.same(got, old)
			}
			f.same(f.dump(), before)
		})
	}
	f := newFixture(t)
	for _, owner := range []string{"p", "q"} {
		in := keyed(owner, owner, first)
		in.Task.Owner = owner
		if got, err := f.Accept(t.Context(), in); err != nil || !got.Created {
			t.Errorf("owner %s: created %v, error %v", owner, got.Created, err)
		}
	}
}

func TestAcceptRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*metadata.NewImport)
	}{
		{"no task id", func(in *metadata.NewImport) { in.Task.ID = "" }},
		{"no image id", func(in *metadata.NewImport) { in.Image.ID = "" }},
		{"two image ids", func(in *metadata.NewImport) { in.Task.ImageID = "another" }},
		{"request is no JSON", func(in *metadata.NewImport) { in.Task.Request = json.RawMessage(`{`) }},
		{"name too long", func(in *metadata.NewImport) { in.Image.Name = string(make([]byte, 300)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			in := imported("1")
			tt.change(&in)
			f.unchanged(errcode.BadRequest, func(ctx context.Context) error { _, err := f.Accept(ctx, in); return err })
		})
	}
}

func TestAcceptExistingImage(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	img, err := f.CreateImage(ctx, metadata.Image{ID: "image-1", Name: "waits", Owner: "p"})
	f.ok(err)
	in := metadata.NewImport{Task: metadata.Task{ID: "a", Owner: "p", ImageID: "image-1", IdempotencyKey: "k"}, ExistingImage: true}

	missing, foreign := in, in
	missing.Task.ImageID = "none"
	foreign.Task.Owner = "q"
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.Accept(ctx, missing); return err })
	f.unchanged(errcode.Forbidden, func(ctx context.Context) error { _, err := f.Accept(ctx, foreign); return err })

	got, err := f.Accept(ctx, in)
	f.ok(err)
	f.same(got.Image, img)
	f.same(f.row("image-1"), img)

	second, other := in, in
	second.Task.ID, second.Task.IdempotencyKey = "b", ""
	other.Task.ID, other.Task.ImageID = "c", "image-2"
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { _, err := f.Accept(ctx, second); return err })
	f.unchanged(errcode.IdempotencyReuse, func(ctx context.Context) error { _, err := f.Accept(ctx, other); return err })

	// Once the first has failed, the image waits again; while it is active or
	// gone it does not.
	f.ok(f.Start(ctx, "a"))
	f.unchanged(errcode.Conflict, func(ctx context.Context) error { _, err := f.Accept(ctx, second); return err })
	f.ok(f.Fail(ctx, "a", metadata.TaskError{Code: errcode.Truncated}))
	_, err = f.Accept(ctx, second)
	f.ok(err)
	_, err = f.DeleteImage(ctx, "image-1")
	f.ok(err)
	second.Task.ID = "d"
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.Accept(ctx, second); return err })
}
