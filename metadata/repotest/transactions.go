package repotest

import (
	"context"
	"errors"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// rollBack writes everything in a transaction that fails.
func rollBack(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutTask(ctx, fullTask("before")) })
	stop := errors.New("stop")
	err := repo.InTx(t.Context(), func(tx metadata.Tx) error {
		changed := fullTask("before")
		changed.Message = "changed"
		ctx := t.Context()
		err := errors.Join(tx.PutImage(ctx, fullImage("i")), tx.PutTask(ctx, changed), tx.AddEvent(ctx, fullEvent("before")))
		if err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want %v", err, stop)
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Image(ctx, "i")
		coded(t, err, errcode.NotFound)
		got, err1 := tx.Task(ctx, "before")
		same(t, got, fullTask("before"))
		events, err2 := tx.Events(ctx, "before")
		if len(events) != 0 {
			t.Errorf("%d events were kept", len(events))
		}
		return errors.Join(err1, err2)
	})
}

// ownErrors returns fn's own error as it is, and runs fn once for it.
func ownErrors(t *testing.T, repo metadata.Repository) {
	for _, want := range []error{errors.New("plain"), errcode.New(errcode.Forbidden, "mine")} {
		runs := 0
		err := repo.InTx(t.Context(), func(metadata.Tx) error { runs++; return want })
		if err != want || runs != 1 {
			t.Errorf("got error %v after %d runs, want %v after one", err, runs, want)
		}
	}
}

// panics checks that a panic in fn leaves nothing behind and nothing locked.
func panics(t *testing.T, repo metadata.Repository) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		repo.InTx(t.Context(), func(tx metadata.Tx) error {
			if err := tx.PutImage(t.Context(), fullImage("i")); err != nil {
				return err
			}
			panic("in the middle")
		})
	}()
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Image(ctx, "i")
		coded(t, err, errcode.NotFound)
		return tx.PutImage(ctx, fullImage("i"))
	})
}

// cancel ends the context within a transaction: it must not commit, and the
// repository must go on with what it held.
func cancel(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, fullImage("before")) })
	for range 20 {
		ctx, stop := context.WithCancel(t.Context())
		err := repo.InTx(ctx, func(tx metadata.Tx) error {
			err := tx.PutImage(ctx, fullImage("i"))
			stop()
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that of the context", err)
		}
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Image(ctx, "i")
		coded(t, err, errcode.NotFound)
		_, err = tx.Image(ctx, "before")
		return err
	})
}

// view reads through the optional ability, which must see what was committed
// and refuse to write.
func view(t *testing.T, repo metadata.Repository) {
	v, ok := repo.(metadata.Viewer)
	if !ok {
		t.Skip("the repository is no metadata.Viewer")
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, fullImage("i")) })
	ctx := t.Context()
	err := v.View(ctx, func(tx metadata.Tx) error {
		got, err := tx.Image(ctx, "i")
		same(t, got, fullImage("i"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = v.View(ctx, func(tx metadata.Tx) error { return tx.PutImage(ctx, fullImage("j")) })
	if err == nil {
		t.Error("a view has written")
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Image(ctx, "j")
		coded(t, err, errcode.NotFound)
		return nil
	})
}
