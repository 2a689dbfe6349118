package stores

import "context"

// A Finder is a Store that finds an upload by the key that it was begun for, so
// that an attempt which never learned the upload's id can go on with it.
type Finder interface {
	// Find returns the id of an upload that was begun for key and not
	// aborted: the committed one if there is one, else the one touched last.
	// errcode.UploadUnknown if there is none.
	Find(ctx context.Context, key string) (id string, err error)
}
