package api

import (
	"context"
	"io"

	"ingest/internal/errcode"
	"ingest/stores"
)

// Stores is Blobs over the stores of one process, by name.
type Stores map[string]stores.Store

var _ Blobs = Stores(nil)

// OpenRange implements Blobs.
func (s Stores) OpenRange(ctx context.Context, store, key string, off, n int64) (io.ReadCloser, error) {
	st, err := s.store(store)
	if err != nil {
		return nil, err
	}
	return st.OpenRange(ctx, key, off, n)
}

// Delete implements Blobs.
func (s Stores) Delete(ctx context.Context, store, key string) error {
	st, err := s.store(store)
	if err != nil {
		return err
	}
	return st.Delete(ctx, key)
}

func (s Stores) store(name string) (stores.Store, error) {
	st, ok := s[name]
	if !ok {
		return nil, errcode.New(errcode.StoreUnknown, "there is no store %q", name)
	}
	return st, nil
}
