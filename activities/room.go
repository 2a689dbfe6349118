package activities

import (
	"context"
	"time"

	"ingest/internal/errcode"
)

// spaceEvery is the time between two looks whether there is space: an import that
// ends, or a reaper, makes some, and neither does so every second.
const spaceEvery = 5 * time.Second

// patiently runs a step until it finds space, for as long as an attempt may wait.
// The step goes on where it stopped, and lets go of what others need in between:
// the one that is to make space may be one of them.
func patiently[T any](d Deps, b *beat, step func() (T, error)) (T, error) {
	until := time.Now().Add(d.SpaceWait)
	for {
		out, err := step()
		if errcode.Of(err) != errcode.NoSpace || !time.Now().Before(until) {
			return out, err
		}
		b.d.Log.Info().Str("task", b.w.taskID).Str("stage", string(b.w.stage)).Time("until", until).Msg("waits for space")
		if gone := b.pause(d.lookEvery(), "waits for space: "+errText(err)); gone != nil {
			return out, gone
		}
	}
}

// errText is the message of an error with a code.
func errText(err error) string {
	if e, ok := errcode.As(err); ok {
		return e.Message
	}
	return ""
}

// pause waits and says what for. It returns why it was interrupted.
func (b *beat) pause(d time.Duration, what string) error {
	b.wait(what)
	defer b.wait("")
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

func (d Deps) lookEvery() time.Duration {
	if d.spaceEvery > 0 {
		return d.spaceEvery
	}
	return spaceEvery
}
