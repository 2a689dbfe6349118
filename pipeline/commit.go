package pipeline

import (
	"context"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// Commit makes the sealed upload visible.
func (p *Pipeline) Commit(ctx context.Context, c contract.StoreParams) (contract.Stored, error) {
	store, err := p.store(c.Converted.Store)
	if err != nil {
		return contract.Stored{}, err
	}
	up, err := store.Resume(ctx, c.Converted.UploadID)
	if err != nil {
		return contract.Stored{}, err
	}
	defer up.Close()
	want := stores.Digest{Algo: c.Checksummed.HashAlgo, Hex: c.Checksummed.HashValue, Size: c.Converted.Size}
	if err := up.Commit(ctx, want); err != nil {
		return contract.Stored{}, err
	}
	return contract.Stored{Store: store.Name(), Key: c.Key, Location: Location(store.Name(), c.Key)}, nil
}

// Location is how an object is named to people: the store and the key.
func Location(store, key string) string { return "store://" + store + "/" + key }

// Cleanup removes what an import left behind: the staged source always, the
// upload and the object only of an import that did not succeed.
func (p *Pipeline) Cleanup(ctx context.Context, c contract.CleanupParams) error {
	if err := p.staging(c.TaskID).remove(); err != nil {
		return err
	}
	if c.Success || c.Key == "" {
		return nil
	}
	store, err := p.store(c.Store)
	if err != nil {
		return err
	}
	up, err := store.Resume(ctx, uploadID(c.Key))
	if err == nil {
		defer up.Close()
		err = up.Abort(ctx)
	}
	if err != nil && errcode.Of(err) != errcode.UploadUnknown {
		return err
	}
	return store.Delete(ctx, c.Key)
}
