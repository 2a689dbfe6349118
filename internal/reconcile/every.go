package reconcile

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// Every calls fn at once and then every interval, until ctx ends. What goes wrong is
// logged, as what was being done.
func Every(ctx context.Context, interval time.Duration, log zerolog.Logger, doing string, fn func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg(doing)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
