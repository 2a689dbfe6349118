package stores

import "context"

// A Bounded is a Store that lays an upload out by what its size may come to.
type Bounded interface {
	// BeginUpTo is Begin for a size that is not known and will be most bytes or
	// less. It refuses nothing for it: what is expected to be compressed mostly
	// comes to far less.
	BeginUpTo(ctx context.Context, key string, most int64) (Upload, error)
}

// BeginUpTo begins an upload of most bytes or less.
func BeginUpTo(ctx context.Context, s Store, key string, most int64) (Upload, error) {
	if b, ok := s.(Bounded); ok {
		return b.BeginUpTo(ctx, key, most)
	}
	return s.Begin(ctx, key, -1)
}
