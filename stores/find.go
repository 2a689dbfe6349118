package stores

import (
	"context"
	"errors"
)

// A Finder is a Store that finds an upload by the key that it was begun for, so
// that an attempt which never learned the upload's id can go on with it.
type Finder interface {
	// Find returns the id of an upload that was begun for key and not
	// aborted: the committed one if there is one, else the one touched last.
	// errcode.UploadUnknown if there is none.
	Find(ctx context.Context, key string) (id string, err error)
}

// A Discarder is a Store that throws an upload away without writing anything first.
// To take it up would be to write that somebody has, for which a full disk has no room.
type Discarder interface {
	// Discard throws an upload away, whoever holds it. It does nothing to one that was
	// committed, and returns errcode.UploadUnknown if there is none.
	Discard(ctx context.Context, id string) error
}

// Discard throws an upload away that is not committed.
func Discard(ctx context.Context, s Store, id string) error {
	if d, ok := s.(Discarder); ok {
		return d.Discard(ctx, id)
	}
	up, err := s.Resume(ctx, id)
	if err != nil {
		return err
	}
	return errors.Join(up.Abort(ctx), up.Close())
}
