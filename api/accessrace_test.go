package api

import (
	"context"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// between is a repository in which something happens just before the next change.
type between struct {
	metadata.Repository
	happens func()
}

func (b *between) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	if now := b.happens; now != nil {
		b.happens = nil
		now()
	}
	return b.Repository.InTx(ctx, fn)
}

// View reads as the repository does, so that nothing happens before a look.
func (b *between) View(ctx context.Context, fn func(metadata.Tx) error) error {
	return b.Repository.(metadata.Viewer).View(ctx, fn)
}

// An image that is given to another project after its caller was judged, and before the
// change, is not changed by those whose it was.
func TestChangesAreJudgedInTheirTransaction(t *testing.T) {
	real, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	repo := &between{Repository: real}
	b := newBench(t, func(d *Deps) {
		d.Identity, d.Catalogue, d.Stores = proven{}, metadata.New(repo), []string{"local", "far"}
	})
	b.cat = metadata.New(real)
	red := rolesHeader("red", "member")
	for _, c := range []struct{ method, what, body string }{
		{"DELETE", "", ""},
		{"POST", "/actions/deactivate", ""},
		{"POST", "/actions/reactivate", ""},
		{"PUT", "/tags/x", ""},
		{"DELETE", "/tags/old", ""},
		{"POST", "/members", `{"member":"green"}`},
		{"DELETE", "/members/blue", ""},
		{"PATCH", "", `[{"op":"replace","path":"/name","value":"mine"}]`},
	} {
		id := b.imageID(`{"visibility":"shared","tags":["old"]}`, red...)
		b.do("POST", "/v2/images/"+id+"/members", `{"member":"blue"}`, red...).want(t, 200, "")
		repo.happens = func() {
			_, err := b.cat.UpdateImage(t.Context(), id, func(m *metadata.Image) error {
				m.Owner, m.Visibility = "other", metadata.VisibilityShared
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		head := red
		if c.method == "PATCH" {
			head = append(append([]string{}, red...), "Content-Type", "application/openstack-images-v2.1-json-patch")
		}
		b.do(c.method, "/v2/images/"+id+c.what, c.body, head...).want(t, 404, errcode.NotFound)
		img, err := b.cat.Image(t.Context(), id)
		if err != nil || img.Name == "mine" || len(img.Tags) != 1 {
			t.Errorf("%s %s changed the image: %+v, %v", c.method, c.what, img, err)
		}
	}
}
