package pipeline_test

import (
	"bytes"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/faultstore"
)

// Both stores fail every n-th call, before or behind its work. Tried often enough,
// the copy is whole, and nothing else is left.
func TestCopyBetweenStoresThatFail(t *testing.T) {
	data := sparse(t)
	// An attempt that writes one unit makes five calls of the store it writes to.
	for _, every := range []int64{7, 11, 13} {
		p := several(t)
		p.CheckpointEvery = time.Nanosecond
		src := keepObject(t, p.Stores["mem"], data)
		from, to := faultstore.New(p.Stores["mem"], every), faultstore.New(p.Stores["second"], every)
		p.Stores["mem"], p.Stores["second"] = from, to
		c := copyOf(data, "second", src)
		done := false
		for range 500 {
			_, err := p.Copy(t.Context(), c, nil)
			if done = err == nil; done {
				break
			}
			if errcode.Of(err) != errcode.StoreUnavailable {
				t.Fatalf("every %d: %v", every, err)
			}
		}
		if !done || from.Failed()+to.Failed() == 0 {
			t.Fatalf("every %d: done %v, %d and %d calls failed", every, done, from.Failed(), to.Failed())
		}
		from.FailEvery(0)
		to.FailEvery(0)
		if !bytes.Equal(content(t, to, c.Key), data) {
			t.Errorf("every %d: the copy differs", every)
		}
		noUploads(t, p)
		for o, err := range to.Objects(t.Context()) {
			if err != nil || o.Key != c.Key {
				t.Errorf("every %d: left %+v, %v", every, o, err)
			}
		}
		t.Logf("every %d: %d reads and %d writes failed", every, from.Failed(), to.Failed())
	}
}

// Cleanup gives everything back, however often it is interrupted.
func TestCleanupOfACopyInAStoreThatFails(t *testing.T) {
	data := sparse(t)
	p := several(t)
	src := keepObject(t, p.Stores["main"], data)
	to := faultstore.New(p.Stores["second"], 4)
	p.Stores["second"] = to
	c := copyOf(data, "second", src)
	_, _ = p.Copy(t.Context(), c, nil) // as far as it comes
	done := false
	for range 100 {
		if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: c.TaskID, ImageID: c.ImageID, Store: "second", Key: c.Key}); err == nil {
			done = true
			break
		}
	}
	if !done {
		t.Fatal("it never ends")
	}
	noUploads(t, p)
	for o := range to.Objects(t.Context()) {
		t.Errorf("left %+v", o)
	}
}
