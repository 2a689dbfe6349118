package pause_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/pause"
)

func TestFor(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond} {
		if err := pause.For(t.Context(), d); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for _, d := range []time.Duration{0, time.Hour} {
		if err := pause.For(ended, d); !errors.Is(err, context.Canceled) {
			t.Errorf("%v of a context that has ended: %v", d, err)
		}
	}
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if err := pause.For(short, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cut short: %v", err)
	}
}
