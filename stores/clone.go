package stores

import "context"

// A Cloner is an Upload that can take over an object of another store without its
// bytes passing through this process.
type Cloner interface {
	// Clone fills an upload to which nothing has been written with an object, holes
	// included, and tells how far it is. ok false says that it cannot: the upload is
	// then to be written from its begin, and holds nothing.
	Clone(ctx context.Context, from Object, progress func(done int64)) (ok bool, err error)
}
