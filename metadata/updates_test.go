package metadata_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// TestUpdateWhileAnImportRuns changes what an owner may change, then and what it finds
// out meanwhile meet: the owner's word stands, and the bytes' facts are the import's.
func TestUpdateWhileAnImportRuns(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.started("1")
	_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error {
		img.Name, img.Visibility, img.Protected, img.Hidden = "mine", "private", true, true
		img.Tags = []string{"y"}
		img.MinDisk, img.MinRAM = 7, 512
		img.DiskFormat = "raw" // what it is said to be; the import looks
		delete(img.Properties, "os_distro")
		img.Properties["os_version"] = "13"
		img.Properties["note"] = "kept"
		return nil
	})
	f.ok(err)
	f.ok(f.AddTag(ctx, "image-1", "z", 5))
	a := activation("1")
	a.Images[0].Title, a.Images[0].Tags, a.Images[0].MinDisk, a.Images[0].MinRAM = "theirs", []string{"found"}, 1, 1
	f.ok(f.Activate(ctx, a))
	img := f.row("image-1")
	if img.Status != metadata.ImageActive || img.Name != "mine" || img.Visibility != "private" || !img.Protected || !img.Hidden || img.MinDisk != 7 || img.MinRAM != 512 ||
		img.DiskFormat != "qcow2" || *img.Size != 10 || *img.VirtualSize != 20 {
		t.Errorf("image %+v", img)
	}
	f.same(img.Tags, []string{"y", "z"})
	f.same(img.Properties, map[string]string{"os_distro": "found", "os_version": "13", "note": "kept"})
	for query, want := range map[string]metadata.ImageFilter{
		"y and z":  {Tags: []string{"y", "z"}},
		"kept":     {Properties: map[string]string{"note": "kept", "os_distro": "found"}},
		"its name": {Name: "mine"},
	} {
		if list, err := f.Images(ctx, want); err != nil || len(list) != 1 {
			t.Errorf("by %s: %d images, %v", query, len(list), err)
		}
	}
	for _, old := range []metadata.ImageFilter{{Tags: []string{"x"}}, {Properties: map[string]string{"os_distro": "mine"}}, {Properties: map[string]string{"os_version": "12"}}} {
		if list, err := f.Images(ctx, old); err != nil || len(list) != 0 {
			t.Errorf("by %+v, which it had: %d images, %v", old, len(list), err)
		}
	}
}

// TestManyUpdates changes one image from all sides, each one something else: nothing is
// lost, and an import ends among them.
func TestManyUpdates(t *testing.T) {
	const each = 20
	f := newFixture(t)
	f.Catalogue = metadata.New(f.repo)
	ctx := t.Context()
	f.started("1")
	var wg sync.WaitGroup
	run := func(what func(i int) error) {
		wg.Go(func() {
			for i := range each {
				if err := what(i); err != nil {
					t.Errorf("change %d: %v", i, err)
				}
			}
		})
	}
	run(func(i int) error { return f.AddTag(ctx, "image-1", fmt.Sprint("tag-", i), 100) })
	for _, prefix := range []string{"a", "b", "c"} {
		run(func(i int) error {
			_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error {
				img.Properties = maps.Clone(img.Properties)
				img.Properties[fmt.Sprint(prefix, i)] = "v"
				return nil
			})
			return err
		})
	}
	run(func(int) error {
		_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error { img.MinDisk++; return nil })
		return err
	})
	run(func(i int) error {
		if i == each/2 {
			return f.Activate(ctx, activation("1"))
		}
		return nil
	})
	wg.Wait()
	img := f.row("image-1")
	if n := len(img.Properties); len(img.Tags) != each+1 || n != 3*each+2 || img.MinDisk != each || img.Status != metadata.ImageActive {
		t.Errorf("%d tags, %d properties, min_disk %d, %s", len(img.Tags), n, img.MinDisk, img.Status)
	}
}

func TestDeactivate(t *testing.T) {
	ctx := t.Context()
	for _, status := range metadata.ImageStatuses() {
		f := newFixture(t)
		put := func() {
			f.ok(f.repo.InTx(ctx, func(tx metadata.Tx) error {
				return tx.PutImage(ctx, metadata.Image{ID: "i", Status: status, DiskFormat: "raw", ContainerFormat: "bare", CreatedAt: noon, UpdatedAt: noon})
			}))
		}
		for _, c := range []struct {
			turn func(context.Context, string, ...metadata.Guard) (metadata.Image, error)
			to   metadata.ImageStatus
		}{{f.Deactivate, metadata.ImageDeactivated}, {f.Reactivate, metadata.ImageActive}} {
			put()
			switch status {
			case metadata.ImageActive, metadata.ImageDeactivated:
				for range 2 { // the second time nothing changes
					img, err := c.turn(ctx, "i")
					f.ok(err)
					if img.Status != c.to || f.row("i").Status != c.to || img.UpdatedAt.Equal(noon) != (status == c.to) {
						t.Errorf("%s turned to %s, %v", status, img.Status, img.UpdatedAt)
					}
				}
			case metadata.ImageDeleted:
				f.unchanged(errcode.NotFound, func(ctx context.Context) error { _, err := c.turn(ctx, "i"); return err })
			default:
				f.unchanged(errcode.Forbidden, func(ctx context.Context) error { _, err := c.turn(ctx, "i"); return err })
			}
		}
	}
}

func TestOwnerChange(t *testing.T) {
	f, l := newLimited(t) // which bind p
	ctx := t.Context()
	f.started("1")
	f.ok(f.Activate(ctx, activation("1"))) // 10 bytes
	to := func(owner string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := f.UpdateImage(ctx, "image-1", func(img *metadata.Image) error { img.Owner = owner; return nil })
			return err
		}
	}
	for _, member := range []string{"q", "r"} {
		_, err := f.AddMember(ctx, "image-1", member, 9)
		f.ok(err)
	}
	f.ok(to("q")(ctx))
	if members, err := f.Members(ctx, "image-1"); err != nil || len(members) != 1 || members[0].Project != "r" {
		t.Errorf("members %+v, %v", members, err)
	}
	l.ImageBytes = 9
	f.unchanged(errcode.QuotaExceeded, to("p"))
	l.ImageBytes, l.Images = 10, 0
	f.unchanged(errcode.QuotaExceeded, to("p"))
	l.Images = 1
	f.ok(to("p")(ctx))
	u, _, err := f.Usage(ctx, "p")
	if err != nil || u.Images != 1 || u.ImageBytes != 10 {
		t.Errorf("usage %+v, %v", u, err)
	}
}
