package reconcile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/stores"
	"ingest/stores/fs"
)

func TestReapSaysAndRemoves(t *testing.T) {
	cat, dir := catalogue(t), t.TempDir()
	store, err := fs.Open(filepath.Join(dir, "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	alive, ended := accept(t, cat), accept(t, cat)
	if err := cat.Fail(t.Context(), ended.ID, metadata.TaskError{Code: errcode.TaskCancelled}); err != nil {
		t.Fatal(err)
	}
	key := func(image string) string { return stores.NewKey(image, uuid.NewString()) }
	begin(t, store, key(alive.ImageID)).Close()
	begin(t, store, key(ended.ImageID)).Close()
	commit(t, begin(t, store, key(ended.ImageID)))
	staging := filepath.Join(dir, "staging")
	for _, id := range []string{alive.ID, ended.ID} {
		if err := os.MkdirAll(filepath.Join(staging, id), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(staging, id, "source"), make([]byte, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(1100 * time.Millisecond)
	s := &Sweeper{Catalogue: cat, Stores: map[string]stores.Store{"main": store}, StagingDir: staging, Log: zerolog.Nop()}
	r := &Reaper{Sweeper: s, Catalogue: cat, Now: func() time.Time { return time.Now().Add(metadata.DefaultTaskTTL + time.Hour) }}
	want := map[string]int{contract.ReapedUpload: 1, contract.ReapedObject: 1, contract.ReapedStaged: 1, contract.ReapedTask: 1}
	for _, c := range []struct {
		p    contract.ReapParams
		want map[string]int
	}{
		{contract.ReapParams{DryRun: true, AgeSeconds: 1}, want},
		{contract.ReapParams{DryRun: true}, map[string]int{contract.ReapedTask: 1}}, // the rest is young
		{contract.ReapParams{AgeSeconds: 1}, want},
		{contract.ReapParams{AgeSeconds: 1}, map[string]int{}},
	} {
		got, err := r.Reap(t.Context(), c.p)
		if err != nil || len(got.Errors) > 0 || got.DryRun != c.p.DryRun {
			t.Fatalf("%+v: %+v, %v", c.p, got, err)
		}
		if diff := cmp.Diff(c.want, got.Counts); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", c.p, diff)
		}
		sum := int64(0)
		for _, it := range got.Items {
			if it.Name == "" || it.Why == "" || it.Since.IsZero() {
				t.Errorf("%+v says too little", it)
			}
			sum += it.Bytes
		}
		if sum != got.Bytes || len(c.want) == 4 && sum < 5000 {
			t.Errorf("%d bytes, the items have %d", got.Bytes, sum)
		}
	}
	if _, err := os.Stat(filepath.Join(staging, alive.ID, "source")); err != nil {
		t.Errorf("the unfinished task's staging: %v", err)
	}
	if _, err := r.Reap(t.Context(), contract.ReapParams{AgeSeconds: 0.5}); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("half a second: %v", err)
	}
}
