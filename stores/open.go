package stores

import (
	"context"
	"io"
)

// An Opener is a Store whose objects can be read at random without a request for
// each read.
type Opener interface {
	// Open returns a committed object, errcode.NotFound if there is none. If the
	// store knows the object's holes, it is a formats.DataFinder too. It stays
	// valid when the object is deleted.
	Open(ctx context.Context, key string) (Object, error)
}

// An Object is a committed object that is open for reading.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}
