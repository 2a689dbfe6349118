// Package pause waits between attempts.
package pause

import (
	"context"
	"time"
)

// For waits for d, and returns the context's error if that ends first. Of a context that
// has ended already it returns the error at once.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
