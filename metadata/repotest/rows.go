package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func imageRoundTrip(t *testing.T, repo metadata.Repository) {
	for _, want := range []metadata.Image{fullImage("full"), {ID: "bare", Status: metadata.ImageQueued, CreatedAt: noon, UpdatedAt: noon}} {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, want) })
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			got, err := tx.Image(ctx, want.ID)
			same(t, got, want)
			return err
		})
	}
}

func taskRoundTrip(t *testing.T, repo metadata.Repository) {
	for _, want := range []metadata.Task{fullTask("full"), {ID: "bare", Status: metadata.TaskPending, CreatedAt: noon, UpdatedAt: noon}} {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutTask(ctx, want) })
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			got, err := tx.Task(ctx, want.ID)
			same(t, got, want)
			return err
		})
	}
}

func eventRoundTrip(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutTask(ctx, fullTask("a")), tx.PutTask(ctx, fullTask("b")))
	})
	want := fullEvent("a")
	for i := range 3 {
		e := want
		e.Attempt = i
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			return errors.Join(tx.AddEvent(ctx, e), tx.AddEvent(ctx, fullEvent("b")))
		})
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.Events(ctx, "a")
		if err != nil || len(got) != 3 {
			t.Fatalf("got %d events and error %v, want 3", len(got), err)
		}
		last := int64(0)
		for i, e := range got {
			if e.Seq <= last {
				t.Errorf("event %d has number %d after %d", i, e.Seq, last)
			}
			last = e.Seq
			e.Seq, want.Attempt = 0, i
			same(t, e, want)
		}
		latest, err1 := tx.LastEvent(ctx, "a", "restart", want.Kind)
		same(t, latest, got[2])
		_, missing := tx.LastEvent(ctx, "a", "restart", "neither")
		coded(t, missing, errcode.NotFound)
		none, err2 := tx.Events(ctx, "nobody")
		if len(none) != 0 {
			t.Errorf("a task that does not exist has %d events", len(none))
		}
		return errors.Join(err1, err2)
	})
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.AddEvent(t.Context(), fullEvent("nobody")) })
	coded(t, err, errcode.NotFound)
}

// replace puts a row twice, with and without reading it in between, and empties
// its fields.
func replace(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, fullImage("x")), tx.PutTask(ctx, fullTask("x")))
	})
	img := metadata.Image{ID: "x", Status: metadata.ImageQueued, CreatedAt: noon, UpdatedAt: noon}
	task := metadata.Task{ID: "x", Status: metadata.TaskPending, CreatedAt: noon, UpdatedAt: noon}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, img), tx.PutTask(ctx, task))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for _, name := range []string{"first", "second"} {
			got, err := tx.Image(ctx, "x")
			if err != nil {
				return err
			}
			same(t, got, img)
			img.Name = name
			if err := tx.PutImage(ctx, img); err != nil {
				return err
			}
		}
		gotImage, err1 := tx.Image(ctx, "x")
		gotTask, err2 := tx.Task(ctx, "x")
		same(t, gotImage, img)
		same(t, gotTask, task)
		return errors.Join(err1, err2)
	})
}

func notFound(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Image(ctx, "none")
		coded(t, err, errcode.NotFound)
		_, err = tx.Task(ctx, "none")
		coded(t, err, errcode.NotFound)
		_, err = tx.TaskByKey(ctx, "project", "none")
		coded(t, err, errcode.NotFound)
		// An empty key is no key: it finds nobody, not one of those without.
		if err := tx.PutTask(ctx, metadata.Task{ID: "keyless", CreatedAt: noon, UpdatedAt: noon}); err != nil {
			return err
		}
		_, err = tx.TaskByKey(ctx, "", "")
		coded(t, err, errcode.NotFound)
		return nil
	})
}

// texts puts what SQL, JSON or a careless query writer could stumble over.
func texts(t *testing.T, repo metadata.Repository) {
	hard := []string{
		"Ελληνικά 日本語 🐧 é é", "it's \"quoted\" `so` $1 :name @p", "a ? b ?0 ?TableName {id}",
		`back\slash \' \n %s %`, "line\r\n\ttab -- comment /* */ ;", "NULL", " leading and trailing ", "\u2028\ufeff<>&",
	}
	for i, s := range hard {
		img, task, e := fullImage(numbered("i", i)), fullTask(numbered("t", i)), fullEvent(numbered("t", i))
		img.Name, img.Owner, img.Tags, img.Properties = s, s, []string{s, s}, map[string]string{s: s}
		task.Owner, task.IdempotencyKey, task.Message = s, s, s
		task.Request, _ = json.Marshal(map[string]string{s: s})
		e.Message, e.Detail = s, task.Request
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			return errors.Join(tx.PutImage(ctx, img), tx.PutTask(ctx, task), tx.AddEvent(ctx, e))
		})
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			images, err1 := tx.Images(ctx, metadata.ImageFilter{Name: s, Owner: s, Deleted: true})
			gotTask, err2 := tx.TaskByKey(ctx, s, s)
			events, err3 := tx.Events(ctx, task.ID)
			same(t, images, []metadata.Image{img})
			same(t, gotTask, task)
			if len(events) != 1 || events[0].Message != s || string(events[0].Detail) != string(e.Detail) {
				t.Errorf("events of %q: %+v", s, events)
			}
			return errors.Join(err1, err2, err3)
		})
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		task := fullTask("case")
		task.IdempotencyKey = "Key"
		other := fullTask("other case")
		other.IdempotencyKey = "kEY"
		padded := fullTask("padded case")
		padded.IdempotencyKey = "Key "
		// Keys differ by case, and by a space at the end.
		if err := errors.Join(tx.PutTask(ctx, task), tx.PutTask(ctx, other), tx.PutTask(ctx, padded)); err != nil {
			return err
		}
		got, err := tx.TaskByKey(ctx, padded.Owner, "Key ")
		same(t, got, padded)
		return err
	})
}

// refusedTexts puts what not every database keeps.
func refusedTexts(t *testing.T, repo metadata.Repository) {
	tests := []struct {
		name string
		put  func(context.Context, metadata.Tx) error
	}{
		{"image without id", func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, metadata.Image{}) }},
		{"task without id", func(ctx context.Context, tx metadata.Tx) error { return tx.PutTask(ctx, metadata.Task{}) }},
		{"NUL in name", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutImage(ctx, metadata.Image{ID: "x", Name: "a\x00b"})
		}},
		{"no UTF-8 in property", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutImage(ctx, metadata.Image{ID: "x", Properties: map[string]string{"a": "\xff"}})
		}},
		{"long name", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutImage(ctx, metadata.Image{ID: "x", Name: strings.Repeat("ä", 256)})
		}},
		{"long property name", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutImage(ctx, metadata.Image{ID: "x", Properties: map[string]string{strings.Repeat("k", 256): ""}})
		}},
		{"long tag", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutImage(ctx, metadata.Image{ID: "x", Tags: []string{strings.Repeat("k", 256)}})
		}},
		{"long id", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutTask(ctx, metadata.Task{ID: strings.Repeat("x", 65)})
		}},
		{"long idempotency key", func(ctx context.Context, tx metadata.Tx) error {
			return tx.PutTask(ctx, metadata.Task{ID: "x", IdempotencyKey: strings.Repeat("x", 256)})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tt.put(t.Context(), tx) })
			coded(t, err, errcode.BadRequest)
		})
	}
}

// longTexts puts texts at the limits, and properties and reports of the size
// that guests and parsers produce.
func longTexts(t *testing.T, repo metadata.Repository) {
	img := fullImage(strings.Repeat("i", 64))
	img.Name, img.Owner = strings.Repeat("ä", 255), strings.Repeat("🐧", 255)
	img.Key = strings.Repeat("k", 1024)
	img.Properties = map[string]string{strings.Repeat("ß", 255): strings.Repeat("v", 64<<10)}
	for i := range 500 {
		img.Properties[numbered("p", i)] = strings.Repeat("é", 128)
	}
	task := fullTask("t")
	task.Owner, task.IdempotencyKey, task.WorkflowID = img.Owner, strings.Repeat("🐧", 255), img.Key
	e := fullEvent("t")
	e.Detail = json.RawMessage(`"` + strings.Repeat("d", 2<<20) + `"`)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, img), tx.PutTask(ctx, task), tx.AddEvent(ctx, e))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		gotImage, err1 := tx.Image(ctx, img.ID)
		gotTask, err2 := tx.TaskByKey(ctx, task.Owner, task.IdempotencyKey)
		events, err3 := tx.Events(ctx, "t")
		same(t, gotImage, img)
		same(t, gotTask, task)
		if len(events) != 1 || string(events[0].Detail) != string(e.Detail) {
			t.Error("a report of 2 MiB is not read as written")
		}
		return errors.Join(err1, err2, err3)
	})
}
