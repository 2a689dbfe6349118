package metadata_test

import (
	"context"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestMembersEndWithTheirImage(t *testing.T) {
	f := newFixture(t)
	f.Catalogue = metadata.New(f.repo, metadata.WithDelayedDelete(true))
	ctx := t.Context()
	f.started("1")
	f.ok(f.Activate(ctx, activation("1")))
	_, err := f.AddMember(ctx, "image-1", "q", -1)
	f.ok(err)
	count := func() (n int) {
		f.ok(f.repo.InTx(ctx, func(tx metadata.Tx) error {
			list, err := tx.Members(ctx, "image-1")
			n = len(list)
			return err
		}))
		return n
	}
	_, err = f.DeleteImage(ctx, "image-1")
	f.ok(err)
	if n := count(); n != 1 {
		t.Errorf("%d members while the image can come back, want 1", n)
	}
	_, err = f.RestoreImage(ctx, "image-1")
	f.ok(err)
	m, err := f.Member(ctx, "image-1", "q")
	if err != nil || m.Status != metadata.MemberPending {
		t.Errorf("member %+v, %v", m, err)
	}
	_, err = f.DeleteImage(ctx, "image-1")
	f.ok(err)
	_, err = f.ScrubImage(ctx, "image-1", f.row("image-1").DeletedAt.Add(1))
	f.ok(err)
	if n := count(); n != 0 {
		t.Errorf("%d members of a deleted image", n)
	}
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := f.Member(ctx, "image-1", "q"); return err })
}

// TestMembersNeedASharedImage keeps the members of an image that is not shared for a
// time, and lets nobody change them.
func TestMembersNeedASharedImage(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	_, err := f.CreateImage(ctx, metadata.Image{ID: "i", Owner: "p"})
	f.ok(err)
	_, err = f.AddMember(ctx, "i", "q", 1)
	f.ok(err)
	_, err = f.SetMember(ctx, "i", "q", metadata.MemberAccepted)
	f.ok(err)
	lists := func() int {
		list, err := f.Images(ctx, metadata.ImageFilter{Seen: &metadata.Seen{Project: "q"}})
		f.ok(err)
		return len(list)
	}
	show := func(visibility string) {
		_, err := f.UpdateImage(ctx, "i", func(img *metadata.Image) error { img.Visibility = visibility; return nil })
		f.ok(err)
	}
	for range 2 {
		if n := lists(); n != 1 {
			t.Errorf("a member lists %d images, want 1", n)
		}
		show("private")
		if n := lists(); n != 0 {
			t.Errorf("a member lists %d private images", n)
		}
		for _, change := range []func(context.Context) error{
			func(ctx context.Context) error { _, err := f.AddMember(ctx, "i", "r", -1); return err },
			func(ctx context.Context) error {
				_, err := f.SetMember(ctx, "i", "q", metadata.MemberRejected)
				return err
			},
			func(ctx context.Context) error { return f.RemoveMember(ctx, "i", "q") },
		} {
			f.unchanged(errcode.Forbidden, change)
		}
		show("shared")
	}
	f.unchanged(errcode.BadRequest, func(ctx context.Context) error { _, err := f.SetMember(ctx, "i", "q", "maybe"); return err })
	f.unchanged(errcode.NotFound, func(ctx context.Context) error { return f.RemoveMember(ctx, "i", "r") })
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error { _, err := f.AddMember(ctx, "i", "r", 1); return err })
}
