package metadata_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// newLimited is newFixture with quotas; what the test changes in the limits is in
// force at once.
func newLimited(t *testing.T) (*fixture, *metadata.Limits) {
	f, l := newFixture(t), metadata.NoLimits()
	f.Catalogue = metadata.New(f.repo, metadata.WithQuotas(func(owner string) metadata.Limits {
		if owner != "p" {
			return metadata.NoLimits()
		}
		return l
	}))
	return f, &l
}

func TestQuotaOfImages(t *testing.T) {
	f, l := newLimited(t)
	l.Images = 1
	f.started("1")
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error {
		_, err := f.CreateImage(ctx, metadata.Image{ID: "x", Owner: "p"})
		return err
	})
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error {
		_, err := f.Accept(ctx, imported("2"))
		return err
	})
	// A source with two disks would make two images of one.
	two := activation("1")
	two.Images = append(two.Images, disk("image-1b"))
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error { return f.Activate(ctx, two) })
	f.ok(f.Activate(t.Context(), activation("1")))
	if _, err := f.CreateImage(t.Context(), metadata.Image{ID: "x", Owner: "q"}); err != nil {
		t.Errorf("another project: %v", err)
	}
	// A repeated submission is the same import, and what was deleted makes room.
	_, err := f.Accept(t.Context(), imported("1"))
	f.ok(err)
	_, err = f.DeleteImage(t.Context(), "image-1")
	f.ok(err)
	_, err = f.Accept(t.Context(), imported("2"))
	f.ok(err)
}

func TestQuotaOfImportsAtOnce(t *testing.T) {
	f, l := newLimited(t)
	l.Uploading = 1
	f.started("1")
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error {
		_, err := f.Accept(ctx, imported("2"))
		return err
	})
	f.ok(f.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.TaskCancelled}))
	_, err := f.Accept(t.Context(), imported("2"))
	f.ok(err)
}

func reserve(n string, bytes int64) metadata.Reservation {
	return metadata.Reservation{TaskID: "task-" + n, Kind: metadata.ReserveStore, Part: "image-" + n, Place: "fs", Bytes: bytes, Room: bytes}
}

var endless = metadata.Room{Free: -1}

func TestReservationsEndWithTheirTask(t *testing.T) {
	f, l := newLimited(t)
	l.ImageBytes = 25
	for _, n := range []string{"1", "2", "3"} {
		f.started(n)
	}
	f.ok(f.Reserve(t.Context(), reserve("1", 10), endless))
	f.ok(f.Reserve(t.Context(), reserve("2", 15), endless))
	f.ok(f.Reserve(t.Context(), reserve("2", 15), endless)) // the same again is nothing more
	f.refused(f.Reserve(t.Context(), reserve("3", 1), endless), errcode.QuotaExceeded)
	f.refused(f.Reserve(t.Context(), reserve("1", 11), endless), errcode.QuotaExceeded)
	f.ok(f.Reserve(t.Context(), reserve("2", 14), endless)) // to shrink is always admitted
	f.ok(f.Reserve(t.Context(), reserve("3", 1), endless))
	f.ok(f.Activate(t.Context(), activation("1")))
	f.ok(f.Fail(t.Context(), "task-2", metadata.TaskError{Code: errcode.TaskCancelled}))
	f.refused(f.Reserve(t.Context(), reserve("2", 1), endless), errcode.Conflict)
	left, err := f.Reservations(t.Context())
	f.ok(err)
	if len(left) != 1 || left[0].TaskID != "task-3" || left[0].Owner != "p" || left[0].Bytes != 1 {
		t.Errorf("left: %+v", left)
	}
	u, lim, err := f.Usage(t.Context(), "p")
	f.ok(err)
	f.same(u, metadata.Usage{Images: 3, ImageBytes: 10, Reserved: 1, Uploading: 1})
	f.same(lim, *l)
	// Without a promise an image is held against the quota when it is done.
	f.ok(f.Reserve(t.Context(), reserve("3", 0), endless))
	big := activation("3")
	big.Images[0].Size = 16
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error { return f.Activate(ctx, big) })
	// What was promised is kept although the quota has been lowered.
	f.ok(f.Reserve(t.Context(), reserve("3", 10), endless))
	l.ImageBytes = 5
	f.ok(f.Activate(t.Context(), activation("3")))
	f.unchanged(errcode.QuotaExceeded, func(ctx context.Context) error {
		_, err := f.Accept(ctx, imported("4"))
		return err
	})
}

func TestRoomIsWhatNobodyHasReserved(t *testing.T) {
	f, _ := newLimited(t)
	for _, n := range []string{"1", "2"} {
		f.started(n)
	}
	one, two := reserve("1", 60), reserve("2", 50)
	f.ok(f.Reserve(t.Context(), one, metadata.Room{Free: 100}))
	f.refused(f.Reserve(t.Context(), two, metadata.Room{Free: 100}), errcode.NoSpace)
	// The first one has written 30 of its 60, which are missing from what is free.
	f.refused(f.Reserve(t.Context(), two, metadata.Room{Free: 70, Used: map[metadata.Part]int64{one.Of(): 30}}), errcode.NoSpace)
	two.Bytes, two.Room = 1<<40, 40 // a file with holes
	f.ok(f.Reserve(t.Context(), two, metadata.Room{Free: 70, Used: map[metadata.Part]int64{one.Of(): 30}}))
	// Its own bytes are there already when it asks again.
	f.ok(f.Reserve(t.Context(), two, metadata.Room{Free: 0, Used: map[metadata.Part]int64{one.Of(): 60, two.Of(): 40}}))
	elsewhere := reserve("2", 90)
	elsewhere.Part, elsewhere.Place = "copy", "other"
	f.ok(f.Reserve(t.Context(), elsewhere, metadata.Room{Free: 90}))
}

// Fifty imports at once against a quota for ten.
func TestQuotaIsHardForManyAtOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit func(*metadata.Limits)
	}{
		{"images", func(l *metadata.Limits) { l.Images = 10 }},
		{"bytes", func(l *metadata.Limits) { l.ImageBytes = 109 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, l := newLimited(t)
			c.limit(l)
			var wg sync.WaitGroup
			ends := make([]error, 50)
			for i := range ends {
				wg.Go(func() { ends[i] = f.whole(fmt.Sprint(i)) })
			}
			wg.Wait()
			good := 0
			for _, err := range ends {
				if err == nil {
					good++
				} else {
					f.refused(err, errcode.QuotaExceeded)
				}
			}
			if good != 10 {
				t.Errorf("%d imports have succeeded, the quota is for 10", good)
			}
			u, _, err := f.Usage(t.Context(), "p")
			f.ok(err)
			if u.ImageBytes != 100 || u.Reserved != 0 || u.Uploading != 0 {
				t.Errorf("in the end %+v", u)
			}
		})
	}
}

// whole runs one import of ten bytes.
func (f *fixture) whole(n string) error {
	ctx := f.t.Context()
	if _, err := f.Accept(ctx, imported(n)); err != nil {
		return err
	}
	f.ok(f.Start(ctx, "task-"+n))
	if err := f.Reserve(ctx, reserve(n, 10), endless); err != nil {
		f.ok(f.Fail(ctx, "task-"+n, metadata.TaskError{Code: errcode.Of(err)}))
		return err
	}
	return f.Activate(ctx, metadata.Activation{TaskID: "task-" + n, Result: json.RawMessage(`{}`), Images: []metadata.ImageActivation{disk("image-" + n)}})
}

func TestStrayReservations(t *testing.T) {
	f, _ := newLimited(t)
	f.started("1")
	f.ok(f.Reserve(t.Context(), reserve("1", 10), endless))
	stray := reserve("gone", 5)
	f.ok(f.repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutReservation(t.Context(), stray) }))
	for _, want := range []int{1, 0} {
		seen, err := f.StrayReservations(t.Context())
		f.ok(err)
		got, err := f.DropReservations(t.Context())
		f.ok(err)
		if len(got) != want || len(seen) != want || want == 1 && got[0].TaskID != "task-gone" {
			t.Errorf("dropped %+v, saw %+v, want %d", got, seen, want)
		}
	}
	left, err := f.Reservations(t.Context())
	f.ok(err)
	if len(left) != 1 {
		t.Errorf("left %+v", left)
	}
}
