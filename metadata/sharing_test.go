package metadata_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// sharing makes the fixture's catalogue let images share objects.
func (f *fixture) sharing(s metadata.Sharing, more ...metadata.Option) {
	f.Catalogue = metadata.New(f.repo, append(more, metadata.WithSharing(s), metadata.WithClock(func() time.Time {
		f.clock = f.clock.Add(time.Second)
		return f.clock
	}))...)
}

// own is the object that task n has stored.
func own(n string) metadata.Location {
	return metadata.Location{Store: "fs", Key: "image-" + n + "/upload-1"}
}

// shared is an activation of image n that takes the object of another one.
func shared(n, of string) metadata.Activation {
	a := activation(n)
	a.Images[0].Key = own(of).Key
	a.Images[0].Twins.Shared = []metadata.Location{own(of)}
	return a
}

func (f *fixture) twins(owner string) []metadata.Twin {
	f.t.Helper()
	got, err := f.Twins(f.t.Context(), owner, metadata.Bytes{HashAlgo: "sha512", HashValue: "hash", Size: 10}, "fs", "image-2")
	f.ok(err)
	return got
}

func (f *fixture) named(loc metadata.Location, want bool) {
	f.t.Helper()
	got, err := f.Named(f.t.Context(), loc)
	f.ok(err)
	if got != want {
		f.t.Errorf("%v is named: %v, want %v", loc, got, want)
	}
}

func TestSharedObjectGoesWithItsLastImage(t *testing.T) {
	f := newFixture(t)
	f.sharing(metadata.ShareInProject)
	ctx := t.Context()
	f.active()
	f.started("2")
	f.same(f.twins("p"), []metadata.Twin{{Location: own("1"), Image: "image-1", Owner: "p"}})
	f.same(f.twins("q"), []metadata.Twin{})
	// Whoever has not looked is told to.
	before := f.dump()
	if err := f.Activate(ctx, activation("2")); !errors.Is(err, metadata.ErrTwins) {
		t.Errorf("an import that has not looked for twins: %v", err)
	}
	f.same(f.dump(), before)
	f.ok(f.Activate(ctx, shared("2", "1")))
	f.ok(f.Activate(ctx, shared("2", "1")))
	f.ok(f.Activate(ctx, activation("2"))) // another run that found none
	f.same(f.row("image-2").Locations(), []metadata.Location{own("1")})
	f.named(own("1"), true)
	f.named(metadata.Location{Key: own("1").Key}, true)
	f.named(own("2"), false)
	f.named(metadata.Location{Store: "other", Key: own("1").Key}, false)

	gone, err := f.DeleteImage(ctx, "image-1")
	f.ok(err)
	f.same(gone, []metadata.Location{})
	keys, err := f.LiveKeys(ctx)
	f.ok(err)
	f.same(keys, []metadata.Location{own("1")})
	gone, err = f.DeleteImage(ctx, "image-2")
	f.ok(err)
	f.same(gone, []metadata.Location{own("1")})
	f.named(own("1"), false)

	// The twin has gone between the choice and the activation.
	f.started("3")
	before = f.dump()
	if err := f.Activate(ctx, shared("3", "1")); !errors.Is(err, metadata.ErrTwins) {
		t.Errorf("activated with a lost object: %v", err)
	}
	f.same(f.dump(), before)
	f.ok(f.Activate(ctx, activation("3")))
}

// What cannot be shared: other bytes, other projects', images that are not active,
// objects that could not be found.
func TestNotShared(t *testing.T) {
	f := newFixture(t)
	f.active()
	f.same(f.twins("p"), []metadata.Twin{}) // switched off
	f.sharing(metadata.ShareWithAll)
	f.same(f.twins("q"), []metadata.Twin{{Location: own("1"), Image: "image-1", Owner: "p"}})
	for _, b := range []metadata.Bytes{{"sha512", "hash", 11}, {"sha256", "hash", 10}, {"sha512", "other", 10}, {"sha512", "", 10}} {
		got, err := f.Twins(t.Context(), "p", b, "fs")
		f.ok(err)
		f.same(got, []metadata.Twin{})
	}
	f.started("2")
	a := activation("2")
	a.Images[0].Twins.Unfit = []metadata.Location{own("1")}
	f.ok(f.Activate(t.Context(), a))
	f.same(f.row("image-2").Locations(), []metadata.Location{own("2")})

	_, err := f.UpdateImage(t.Context(), "image-1", func(m *metadata.Image) error { m.Status = metadata.ImageDeactivated; return nil })
	f.ok(err)
	f.same(f.twins("p"), []metadata.Twin{}) // image 2 is not its own twin
}

func TestSharedCopies(t *testing.T) {
	f := newFixture(t)
	f.sharing(metadata.ShareInProject)
	ctx := t.Context()
	f.started("1")
	a := activation("1")
	a.Images[0].Copies = []metadata.Location{at("b")}
	f.ok(f.Activate(ctx, a))
	f.started("2")
	f.ok(f.Activate(ctx, shared("2", "1")))
	_, err := f.Accept(ctx, metadata.NewImport{Copy: true, Task: metadata.Task{ID: "copy", ImageID: "image-2", Owner: "p"}})
	f.ok(err)
	f.ok(f.StartCopy(ctx, "copy"))
	made := metadata.Location{Store: "b", Key: "image-2/copy"}
	f.same(errors.Is(f.AddCopies(ctx, metadata.CopiesDone{TaskID: "copy", Copies: []metadata.Location{made}}), metadata.ErrTwins), true)
	f.ok(f.AddCopies(ctx, metadata.CopiesDone{TaskID: "copy", Copies: []metadata.Location{at("b")}, Twins: metadata.Choice{Shared: []metadata.Location{at("b")}}}))
	f.same(f.row("image-2").Locations(), []metadata.Location{own("1"), at("b")})

	// Out of one store: the object goes with the last image that names it.
	for i, image := range []string{"image-2", "image-1"} {
		gone, err := f.RemoveCopy(ctx, image, "fs")
		f.ok(err)
		f.same(gone, []metadata.Location{{}, own("1")}[i])
	}
}

func TestSharedObjectOfADelayedDeletion(t *testing.T) {
	f := newFixture(t)
	f.sharing(metadata.ShareInProject, metadata.WithDelayedDelete(true))
	ctx := t.Context()
	f.active()
	f.started("2")
	f.ok(f.Activate(ctx, shared("2", "1")))
	for _, image := range []string{"image-1", "image-2"} {
		gone, err := f.DeleteImage(ctx, image)
		f.ok(err)
		f.same(gone, []metadata.Location{})
	}
	f.same(f.twins("p"), []metadata.Twin{}) // nobody shares what waits for its deletion
	gone, err := f.ScrubImage(ctx, "image-1", f.clock.Add(time.Hour))
	f.ok(err)
	f.same(gone, []metadata.Location{})
	_, err = f.RestoreImage(ctx, "image-2")
	f.ok(err)
	f.named(own("1"), true)
	_, err = f.DeleteImage(ctx, "image-2")
	f.ok(err)
	gone, err = f.ScrubImage(ctx, "image-2", f.clock.Add(time.Hour))
	f.ok(err)
	f.same(gone, []metadata.Location{own("1")})
	f.unchanged(errcode.NotFound, func(ctx context.Context) error {
		_, err := f.RestoreImage(ctx, "image-2")
		return err
	})
}
