package replicate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ingest/api/wire"
	"ingest/internal/client"
	"ingest/internal/errcode"
	"ingest/internal/glancetest"
	"ingest/internal/replicate"
)

var _ replicate.Service = (*client.Client)(nil)

func service(t *testing.T, g *glancetest.Glance) *client.Client {
	t.Helper()
	c, err := client.New(g.Endpoint, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noise(t *testing.T, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := rand.Read(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// outcomes are those of the images by id.
func outcomes(t *testing.T, all []replicate.Outcome, err error) map[string]string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, o := range all {
		if out[o.ID] = o.Status; o.Status == replicate.Failed {
			t.Errorf("%s: %s %s", o.ID, o.Code, o.Reason)
		}
	}
	return out
}

func wants(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for id, status := range want {
		if got[id] != status {
			t.Errorf("image %s is %q, want %q", id, got[id], status)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d outcomes, want %d: %v", len(got), len(want), got)
	}
}

// Two real Glances are kept in step, directly and by way of a folder.
func TestReplication(t *testing.T) {
	source, target := glancetest.Start(t), glancetest.Start(t)
	from, to := service(t, source), service(t, target)
	big := noise(t, 5<<20+123)
	a := source.Put(t, "a", big, glancetest.Object{"tags": []string{"x", "y"}, "os_distro": "debian", "min_disk": 3, "protected": true, "visibility": "community"})
	h := source.Put(t, "hidden", noise(t, 4096), glancetest.Object{"os_hidden": true, "odd/~name": "v"})
	q := source.Create(t, "queued", nil)
	ctx, o := t.Context(), replicate.Options{}

	if n, err := replicate.Size(ctx, from); err != nil || n.Images != 3 || n.Bytes != int64(len(big))+4096 {
		t.Errorf("size %+v, %v", n, err)
	}
	got, err := replicate.Compare(ctx, from, to, o)
	wants(t, outcomes(t, got, err), map[string]string{a: replicate.Missing, h: replicate.Missing, q: replicate.Skipped})
	got, err = replicate.Livecopy(ctx, from, to, o)
	wants(t, outcomes(t, got, err), map[string]string{a: replicate.Copied, h: replicate.Copied, q: replicate.Skipped})
	for _, id := range []string{a, h} {
		x, err1 := from.Image(ctx, id)
		y, err2 := to.Image(ctx, id)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if x.HashValue == "" || x.HashValue != y.HashValue || x.Protected != y.Protected || x.Hidden != y.Hidden || x.Visibility != y.Visibility || x.MinDisk != y.MinDisk || len(x.Tags) != len(y.Tags) || x.Properties["odd/~name"] != y.Properties["odd/~name"] {
			t.Errorf("source %+v\nreplica %+v", x, y)
		}
	}
	same := map[string]string{a: replicate.Same, h: replicate.Same, q: replicate.Skipped}
	got, err = replicate.Livecopy(ctx, from, to, o)
	wants(t, outcomes(t, got, err), same)

	if _, err := from.ChangeImage(ctx, h, []client.Change{{Op: "replace", Path: "/name", Value: "other"}, {Op: "remove", Path: "/odd~1~0name"}, {Op: "add", Path: "/fresh", Value: "1"}}); err != nil {
		t.Fatal(err)
	}
	got, err = replicate.Compare(ctx, from, to, o)
	wants(t, outcomes(t, got, err), map[string]string{a: replicate.Same, h: replicate.Differs, q: replicate.Skipped})
	got, err = replicate.Livecopy(ctx, from, to, o)
	wants(t, outcomes(t, got, err), map[string]string{a: replicate.Same, h: replicate.Updated, q: replicate.Skipped})
	got, err = replicate.Livecopy(ctx, from, to, o)
	wants(t, outcomes(t, got, err), same)

	// A dump that was cut off goes on with what is there.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, a+".part"), big[:3<<20], 0o600); err != nil {
		t.Fatal(err)
	}
	fetched := int64(0)
	got, err = replicate.Dump(ctx, from, dir, replicate.Options{Parallel: 1, Progress: func(n int64) { fetched += n }})
	wants(t, outcomes(t, got, err), map[string]string{a: replicate.Copied, h: replicate.Copied, q: replicate.Skipped})
	if want := int64(len(big)) - 3<<20 + 4096; fetched != want {
		t.Errorf("fetched %d bytes, want %d", fetched, want)
	}
	if kept, err := os.ReadFile(filepath.Join(dir, a+".img")); err != nil || !bytes.Equal(kept, big) {
		t.Errorf("the dump has other bytes, %v", err)
	}
	got, err = replicate.Dump(ctx, from, dir, o)
	wants(t, outcomes(t, got, err), same)
	third := service(t, glancetest.Start(t))
	for _, status := range []string{replicate.Copied, replicate.Same} {
		got, err = replicate.Load(ctx, dir, third, o)
		wants(t, outcomes(t, got, err), map[string]string{a: status, h: status})
	}
}

// Bytes that are not those of the source's digest make no image.
func TestDamagedDumpIsNotLoaded(t *testing.T) {
	source := glancetest.Start(t)
	from := service(t, source)
	id := source.Put(t, "a", noise(t, 1<<20), nil)
	dir := t.TempDir()
	if _, err := replicate.Dump(t.Context(), from, dir, replicate.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, id+".img"), noise(t, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	to := service(t, glancetest.Start(t))
	got, err := replicate.Load(context.Background(), dir, to, replicate.Options{})
	if err != nil || len(got) != 1 || got[0].Status != replicate.Failed || got[0].Code != errcode.VerifyMismatch {
		t.Errorf("got %+v, %v", got, err)
	}
	var img wire.Image
	if img, err = to.Image(t.Context(), id); err == nil && img.Status == "active" {
		t.Error("the damaged image is active")
	}
}
