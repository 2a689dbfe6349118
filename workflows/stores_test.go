package workflows_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"ingest/activities/activitytest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

func three(mustSucceed bool) contract.ImportRequest {
	r := request
	r.Stores = []string{"local", "fast", "remote"}
	r.AllStoresMustSucceed = &mustSucceed
	return r
}

// copies lists the stores that were copied to, in the order of their names.
func (b *bench) copies() []string {
	var out []string
	for _, c := range b.steps.Calls() {
		if p, ok := c.Params.(contract.CopyParams); ok {
			out = append(out, p.Store)
		}
	}
	slices.Sort(out)
	return out
}

// failing makes the copies to a store end with the code, and counts them.
func (b *bench) failing(store string, code errcode.Code) (calls func() int) {
	var mu sync.Mutex
	n := 0
	plain := &activitytest.Steps{}
	b.steps.OnCopy = func(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
		if p.Store != store {
			return plain.Copy(ctx, p, o)
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return contract.Stored{}, errcode.New(code, "the store says no")
	}
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// removed lists what cleanups were told to remove, as STORE/KEY.
func (b *bench) removed() []string {
	var out []string
	for _, c := range b.steps.Cleanups() {
		if !c.Success && c.Key != "" {
			out = append(out, c.Store+"/"+c.Key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func storesIn(img metadata.Image) []string {
	var out []string
	for _, loc := range img.Locations() {
		out = append(out, loc.Store)
	}
	slices.Sort(out)
	return out
}

func TestImportIntoSeveralStores(t *testing.T) {
	all := request
	all.AllStores = true
	for name, r := range map[string]contract.ImportRequest{"named": three(true), "all": all} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var marked []string
			b.env.SetOnLocalActivityStartedListener(func(info *activityInfo, _ context.Context, args []any) {
				if info.ActivityType.Name == contract.MarkStoresActivity {
					marked = append(marked, strings.Join(args[0].(contract.MarkStoresParams).Importing, ","))
				}
			})
			got, err := b.run(r)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.keys()) != 1 {
				t.Errorf("converted %d times", len(b.keys()))
			}
			if diff := cmp.Diff([]string{"fast", "remote"}, b.copies()); diff != "" {
				t.Errorf("copies (-want +got):\n%s", diff)
			}
			img := b.image()
			if img.Store != "local" || img.Key != key(1) {
				t.Errorf("first location %s/%s", img.Store, img.Key)
			}
			if diff := cmp.Diff([]string{"fast", "local", "remote"}, storesIn(img)); diff != "" {
				t.Errorf("stores (-want +got):\n%s", diff)
			}
			if len(got.Images[0].Stores) != 3 || got.Images[0].FailedStores != nil {
				t.Errorf("result %+v", got.Images[0])
			}
			if img.Properties[metadata.PropImportingStores]+img.Properties[metadata.PropFailedStores] != "" {
				t.Errorf("properties %v", img.Properties)
			}
			if len(marked) == 0 || marked[0] != "local,fast,remote" || marked[len(marked)-1] != "" {
				t.Errorf("importing to %q", marked)
			}
			if out := b.removed(); len(out) > 0 {
				t.Errorf("removed %q of a success", out)
			}
			b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
		})
	}
}

func TestStoreThatMustSucceedFailsTheImport(t *testing.T) {
	b := newBench(t)
	b.failing("remote", errcode.NoSpace)
	_, err := b.run(three(true))
	if v := ended(t, err); v.Code != errcode.NoSpace {
		t.Errorf("ended with %+v", v)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
	want := []string{"fast/" + key(1), "local/" + key(1), "remote/" + key(1)}
	if diff := cmp.Diff(want, b.removed()); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if failed := b.image().Properties[metadata.PropFailedStores]; !strings.Contains(failed, "remote") {
		t.Errorf("failed stores %q", failed)
	}
	if e := b.task().Error; e.Stage != string(contract.StageCopy) {
		t.Errorf("failed in stage %s", e.Stage)
	}
}

func TestStoreThatNeedNotSucceed(t *testing.T) {
	for _, tt := range []struct {
		code  errcode.Code
		tries int
	}{{errcode.NoSpace, 1}, {errcode.StoreUnavailable, 10}} {
		t.Run(string(tt.code), func(t *testing.T) {
			b := newBench(t)
			tries := b.failing("fast", tt.code)
			got, err := b.run(three(false))
			if err != nil {
				t.Fatal(err)
			}
			if tries() != tt.tries {
				t.Errorf("tried %d times, want %d", tries(), tt.tries)
			}
			if diff := cmp.Diff([]string{"fast"}, got.Images[0].FailedStores); diff != "" {
				t.Errorf("failed (-want +got):\n%s", diff)
			}
			img := b.image()
			if diff := cmp.Diff([]string{"local", "remote"}, storesIn(img)); diff != "" || img.Properties[metadata.PropFailedStores] != "fast" {
				t.Errorf("image in %v, %v", storesIn(img), img.Properties)
			}
			if diff := cmp.Diff([]string{"fast/" + key(1)}, b.removed()); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)
		})
	}
}

// The first store fails: the conversion is done again, into the next one, from what
// was fetched.
func TestFirstStoreFails(t *testing.T) {
	b := newBench(t)
	plain := &activitytest.Steps{}
	b.steps.OnConvert = func(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
		if p.Target.Store == "local" {
			return contract.Converted{}, errcode.New(errcode.NoSpace, "full")
		}
		return plain.Convert(ctx, p, o)
	}
	if _, err := b.run(three(false)); err != nil {
		t.Fatal(err)
	}
	img := b.image()
	if img.Store != "fast" || img.Key != key(2) || img.Properties[metadata.PropFailedStores] != "local" {
		t.Errorf("image at %s/%s, %v", img.Store, img.Key, img.Properties)
	}
	if diff := cmp.Diff([]string{"fast", "remote"}, storesIn(img)); diff != "" {
		t.Errorf("stores (-want +got):\n%s", diff)
	}
	fetches := 0
	for _, s := range b.order() {
		if s == contract.StageFetch {
			fetches++
		}
	}
	if fetches != 1 {
		t.Errorf("fetched %d times", fetches)
	}
	if diff := cmp.Diff([]string{"local/" + key(1)}, b.removed()); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	b.wantStatus(metadata.TaskSuccess, metadata.ImageActive)

	b = newBench(t)
	b.steps.OnConvert = func(context.Context, contract.ConvertParams, pipeline.Observe) (contract.Converted, error) {
		return contract.Converted{}, errcode.New(errcode.NoSpace, "full")
	}
	_, err := b.run(three(false))
	if v := ended(t, err); v.Code != errcode.NoSpace {
		t.Errorf("every store is full, ended with %+v", v)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
}

func TestCancelDuringCopies(t *testing.T) {
	b := newBench(t)
	b.steps.OnCopy = func(ctx context.Context, _ contract.CopyParams, _ pipeline.Observe) (contract.Stored, error) {
		b.env.CancelWorkflow()
		return contract.Stored{}, errcode.New(errcode.StoreUnavailable, "cut off")
	}
	_, err := b.run(three(false))
	if !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v, want cancelled", err)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
	if out := b.removed(); len(out) != 3 {
		t.Errorf("removed %q, want all three", out)
	}
}

// Two disks, the second of which does not come into a store: the image of a machine
// is in a store as a whole, or not at all.
func TestStoreFailsBehindTheFirstDisk(t *testing.T) {
	b := severalDisks(t)
	plain := &activitytest.Steps{}
	b.steps.OnCopy = func(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
		if p.Disk == 2 && p.Store == "fast" {
			return contract.Stored{}, errcode.New(errcode.NoSpace, "full")
		}
		return plain.Copy(ctx, p, o)
	}
	got, err := b.run(three(false))
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range got.Images {
		img, err := b.cat.Image(context.Background(), res.ImageID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"local", "remote"}, storesIn(img)); diff != "" || img.Properties[metadata.PropFailedStores] != "fast" {
			t.Errorf("image %s in %v, %v", img.Name, storesIn(img), img.Properties)
		}
	}
	if out := b.removed(); len(out) != 2 || !strings.HasPrefix(out[0], "fast/") || !strings.HasPrefix(out[1], "fast/") {
		t.Errorf("removed %q, want both disks from one store", out)
	}
}
