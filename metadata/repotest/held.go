package repotest

import (
	"context"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type holder interface {
	Hold(ctx context.Context, lost func(error)) (release func(), err error)
}

// Held holds a database from two sides.
func Held(t *testing.T, open func() (metadata.Repository, error)) {
	var both [2]holder
	for i := range both {
		repo, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer repo.Close()
		both[i] = repo.(holder)
	}
	lost := func(err error) { t.Errorf("lost: %v", err) }
	for i := range 4 { // each of them, twice
		release, err := both[i%2].Hold(t.Context(), lost)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, err := both[1].Hold(t.Context(), lost)
			coded(t, err, errcode.Conflict)
		}
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := both[(i+1)%2].Hold(ctx, lost); err == nil {
			t.Error("two hold it")
		}
		stop()
		release()
	}
}
