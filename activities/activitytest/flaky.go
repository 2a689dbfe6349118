package activitytest

import (
	"context"
	"sync/atomic"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// A Flaky repository does not answer while Down is positive; each call takes
// one off.
type Flaky struct {
	metadata.Repository
	Down atomic.Int64
}

// InTx implements metadata.Repository.
func (f *Flaky) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	if f.Down.Add(-1) >= 0 {
		return errcode.New(errcode.CatalogueBusy, "the database does not answer")
	}
	return f.Repository.InTx(ctx, fn)
}
