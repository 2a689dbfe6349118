package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Keep says how long what nobody needs is kept.
type Keep struct {
	// ReapEvery is the time between two runs of Reap; 0 leaves it to `ingest gc`.
	ReapEvery time.Duration
	// DelayedDelete keeps the bytes of deleted images for ScrubTime.
	DelayedDelete bool
	ScrubTime     time.Duration
	// TaskTTL is how long after its end Glance's clients see a task, and TaskHistory how
	// much longer its record is kept.
	TaskTTL     time.Duration
	TaskHistory time.Duration
}

// leastReapEvery is the least time between two runs of Reap, which look at
// everything that there is.
const leastReapEvery = time.Second

func (k *Keep) flags(f *pflag.FlagSet) {
	f.DurationVar(&k.ReapEvery, "reap-every", 10*time.Minute, "how often what nobody needs any more is removed, see ingest gc (0: never by itself)")
	f.BoolVar(&k.DelayedDelete, "delayed-delete", false, "keep the bytes of deleted images for --scrub-time, see ingest scrub")
	f.DurationVar(&k.TaskTTL, "task-time-to-live", 48*time.Hour, "how long after its end a task is shown to clients of Glance's API")
	f.DurationVar(&k.TaskHistory, "task-history", 30*24*time.Hour, "how much longer the whole task and its history are kept, see ingest task show")
	f.DurationVar(&k.ScrubTime, "scrub-time", 24*time.Hour, "how long a deleted image can be restored, with --delayed-delete")
}

func (k *Keep) check() error {
	if k.ReapEvery != 0 && k.ReapEvery < leastReapEvery {
		return bad("--reap-every", k.ReapEvery.String(), "is less than "+leastReapEvery.String()+" and not 0")
	}
	for name, d := range map[string]time.Duration{"--scrub-time": k.ScrubTime, "--task-time-to-live": k.TaskTTL, "--task-history": k.TaskHistory} {
		if d < 0 {
			return bad(name, d.String(), "is less than 0s")
		}
	}
	return nil
}
