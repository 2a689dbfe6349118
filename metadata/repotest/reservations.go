package repotest

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// reserved is a reservation with every field set.
func reserved(task, kind, part string) metadata.Reservation {
	return metadata.Reservation{TaskID: task, Kind: kind, Part: part, Owner: "project", Place: "a place", Key: "image/upload",
		Bytes: 1 << 61, Room: 7, CreatedAt: noon, UpdatedAt: noon.Add(time.Second)}
}

func reservationRoundTrip(t *testing.T, repo metadata.Repository) {
	a, b, c := reserved("1", "stage", "source"), reserved("1", "store", "image"), reserved("2", "stage", "source")
	list := func() []metadata.Reservation {
		var got []metadata.Reservation
		do(t, repo, func(ctx context.Context, tx metadata.Tx) (err error) {
			got, err = tx.Reservations(ctx)
			return err
		})
		return got
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutReservation(ctx, c), tx.PutReservation(ctx, b), tx.PutReservation(ctx, a))
	})
	same(t, list(), []metadata.Reservation{a, b, c})
	b.Bytes, b.Place, b.Owner = 0, "another", "other"
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutReservation(ctx, b) })
	same(t, list(), []metadata.Reservation{a, b, c})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.DeleteReservations(ctx, "1"), tx.DeleteReservations(ctx, "nobody"))
	})
	same(t, list(), []metadata.Reservation{c})
	bad := c
	bad.Place = "a\x00b"
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutReservation(t.Context(), bad) })
	coded(t, err, errcode.BadRequest)
	stop := errors.New("stop")
	err = repo.InTx(t.Context(), func(tx metadata.Tx) error {
		return errors.Join(tx.DeleteReservations(t.Context(), "2"), stop)
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	same(t, list(), []metadata.Reservation{c})
}

func usage(t *testing.T, repo metadata.Repository) {
	want := metadata.Usage{}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		var errs []error
		for i, s := range metadata.ImageStatuses() {
			for _, owner := range []string{"p", "q"} {
				img := fullImage(owner + "-" + string(s))
				img.Copies = nil
				img.Owner, img.Status, img.Size = owner, s, ptr(int64(1)<<i)
				if s == metadata.ImageQueued {
					img.Size = nil
				}
				errs = append(errs, tx.PutImage(ctx, img))
			}
		}
		for i, s := range metadata.TaskStatuses() {
			task := fullTask(numbered("t", i))
			task.Owner, task.Status = "p", s
			errs = append(errs, tx.PutTask(ctx, task))
		}
		for _, r := range []metadata.Reservation{
			{TaskID: "a", Kind: "stage", Part: "1", Owner: "p", Bytes: 3}, {TaskID: "a", Kind: "stage", Part: "2", Owner: "p", Bytes: 4},
			{TaskID: "a", Kind: "store", Part: "1", Owner: "p", Bytes: 5}, {TaskID: "b", Kind: "store", Part: "1", Owner: "q", Bytes: 100},
		} {
			r.CreatedAt, r.UpdatedAt = noon, noon
			errs = append(errs, tx.PutReservation(ctx, r))
		}
		return errors.Join(errs...)
	})
	for i, s := range metadata.ImageStatuses() {
		if s != metadata.ImageDeleted && s != metadata.ImagePendingDelete && s != metadata.ImageKilled {
			want.Images++
		}
		if s != metadata.ImageDeleted && s != metadata.ImageKilled && s != metadata.ImageQueued {
			want.ImageBytes += 1 << i
		}
	}
	want.Reserved, want.StageBytes = 5, 7
	want.Uploading = 2 + 2 // saving, uploading; pending, processing
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		got, err := tx.Usage(ctx, "p")
		same(t, got, want)
		none, err2 := tx.Usage(ctx, "nobody")
		same(t, none, metadata.Usage{})
		return errors.Join(err, err2)
	})
}

// manyReserve has a crowd reserve against a quota, and against a disk, that have
// room for ten.
func manyReserve(t *testing.T, repo metadata.Repository) {
	limits := metadata.NoLimits()
	limits.ImageBytes = 109
	cat := metadata.New(repo, metadata.WithQuotas(func(string) metadata.Limits { return limits }))
	for i := range crowd {
		n := numbered("", i)
		if _, err := cat.Accept(t.Context(), metadata.NewImport{Task: metadata.Task{ID: "t" + n, Owner: "p"}, Image: metadata.Image{ID: "i" + n}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		kind string
		room metadata.Room
		want errcode.Code
	}{
		{metadata.ReserveStore, metadata.Room{Free: -1}, errcode.QuotaExceeded},
		{metadata.ReserveStage, metadata.Room{Free: 109}, errcode.NoSpace},
	} {
		errs := together(func(i int) error {
			return cat.Reserve(t.Context(), metadata.Reservation{TaskID: "t" + numbered("", i), Kind: c.kind, Part: "x", Place: "here", Bytes: 10, Room: 10}, c.room)
		})
		good := 0
		for _, err := range errs {
			if err == nil {
				good++
				continue
			}
			coded(t, err, c.want)
		}
		if good != 10 {
			t.Errorf("%s: %d of %d have got what there is for 10", c.kind, good, crowd)
		}
	}
}
