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
		if err := committedBefore(ctx, store, up, c.Key, want, err); err != nil {
			return contract.Stored{}, err
		}
	}
	return contract.Stored{Store: store.Name(), Key: c.Key, Location: Location(store.Name(), c.Key)}, nil
}

// committedBefore returns nil if the key's object has the very bytes of the
// upload, which is then thrown away, and else err. An import whose workflow was
// lost behind its commit begins again, and comes to the same key.
func committedBefore(ctx context.Context, store stores.Store, up stores.Upload, key string, want stores.Digest, err error) error {
	if errcode.Of(err) != errcode.Conflict || want.Hex == "" {
		return err
	}
	if have, statErr := store.Stat(ctx, key); statErr != nil || have.Digest != want {
		return err
	}
	return up.Abort(ctx)
}

// Location is how an object is named to people: the store and the key.
func Location(store, key string) string { return "store://" + store + "/" + key }

// Holds reports whether an object is there, with the digest that is wanted, as its
// store has kept it. A store that is not this host's holds nothing.
func (p *Pipeline) Holds(ctx context.Context, at contract.Stored, want stores.Digest) (bool, error) {
	store, err := p.store(at.Store)
	if errcode.Of(err) == errcode.StoreUnknown {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o, err := store.Stat(ctx, at.Key)
	if errcode.Of(err) == errcode.NotFound {
		return false, nil
	}
	return err == nil && o.Size == want.Size && o.Digest == want, err
}

// Cleanup removes what an import left behind: the staged source always, the
// upload and the object only of an import that did not succeed.
func (p *Pipeline) Cleanup(ctx context.Context, c contract.CleanupParams) error {
	if err := p.cleanAhead(ctx, c); err != nil {
		return err
	}
	if c.Destination != nil {
		if err := p.dropExport(ctx, c); err != nil {
			return err
		}
	}
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
	for {
		err := discardUpload(ctx, store, c.Key)
		if errcode.Of(err) == errcode.UploadUnknown {
			return store.Delete(ctx, c.Key)
		}
		if err != nil {
			return err
		}
		// Or the object that it became.
		if err := store.Delete(ctx, c.Key); err != nil {
			return err
		}
	}
}
