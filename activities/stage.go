package activities

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/activity"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// noteTime is how long an attempt may take to write its end down.
const noteTime = 5 * time.Second

// work says whose attempt it is.
type work struct {
	stage   contract.Stage
	taskID  string
	imageID string
	// disk is the disk's number, from 1, of a source that holds several.
	disk int
	// store is that which is copied to, "" for every other stage.
	store string
	// moves says that the step tells how far it is, so that standing still can
	// be seen.
	moves bool
	// heavy says that the step goes over a whole disk, and needs room in
	// Deps.Heavy.
	heavy bool
	// parses says that the step reads the image, so that a panic is the
	// image's.
	parses bool
	// resume is the hint of an earlier activity that was interrupted, nil if there is
	// none. That of an earlier attempt is fresher.
	resume []byte
}

// attempt runs one attempt of a stage: it beats while fn works, notes how it
// ended, and turns its error into Temporal's.
func attempt[T any](ctx context.Context, d Deps, w work, fn func(context.Context, *beat) (T, error)) (T, error) {
	var zero T
	begun := time.Now()
	b := startBeat(ctx, d, w)
	out, err := guard(d.Log, w, func() (T, error) {
		return patiently(d, b, func() (T, error) {
			leave, err := b.enter()
			if err != nil {
				return zero, err
			}
			defer leave()
			ctx, out, err := b.metered()
			if err != nil {
				return zero, err
			}
			defer out()
			return fn(ctx, b)
		})
	})
	err = b.stop(ctx, err)
	d.note(ctx, w, b.done(), time.Since(begun), err)
	if err != nil {
		return zero, d.temporal(b.hint(err), activity.GetInfo(ctx).Attempt)
	}
	return out, nil
}

// row runs a few statements on the catalogue, without an event. It beats, so that one which
// died with its worker is soon run again.
func row[T any](ctx context.Context, d Deps, w work, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if !activity.GetInfo(ctx).IsLocalActivity { // one that is ends with its workflow task
		defer beating(ctx, d.beatEvery())()
	}
	out, err := guard(d.Log, w, func() (T, error) { return fn(ctx) })
	if err != nil {
		d.line(ctx, w, 0, 0, err)
		return zero, d.temporal(err, 0)
	}
	return out, nil
}

// guard turns a panic into an error. Its text and stack go to the log only.
func guard[T any](log zerolog.Logger, w work, fn func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error().Str("task", w.taskID).Str("stage", string(w.stage)).Interface("panic", p).
				Bytes("stack", debug.Stack()).Msg("activity panicked")
			code := errcode.Internal
			if w.parses {
				code = errcode.ParserCrash
			}
			err = errcode.New(code, "stage %s failed in an unforeseen way", string(w.stage))
		}
	}()
	return fn()
}

// note writes the end of an attempt to the log and, as an event, to the
// catalogue. The attempt's outcome does not depend on it.
func (d Deps) note(ctx context.Context, w work, bytes int64, took time.Duration, err error) {
	d.line(ctx, w, bytes, took, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	e := metadata.Event{Stage: string(w.stage), Attempt: int(activity.GetInfo(ctx).Attempt), Bytes: bytes, Duration: took, Message: w.message()}
	if err != nil {
		v := value(err)
		e.Code, e.Message = string(v.Code), v.Message
		if v.Code == errcode.TaskCancelled && d.paused(ctx, w.taskID) {
			e.Kind, e.Code, e.Message = metadata.EventControl, "", "stands still while the task is paused"
		}
	}
	if err := d.Catalogue.SetStage(ctx, w.taskID, e); err != nil {
		d.Log.Warn().Str("task", w.taskID).Str("stage", string(w.stage)).Str("error", trace(err)).Msg("end of attempt not recorded")
	}
}

// paused reports whether an attempt was cancelled only because its task is paused.
func (d Deps) paused(ctx context.Context, taskID string) bool {
	t, err := d.Catalogue.Task(ctx, taskID)
	return err == nil && t.Paused
}

// message says in the task's history what of it was worked on.
func (w work) message() string {
	m := contract.DiskMessage(w.disk)
	if w.store == "" {
		return m
	}
	return strings.TrimPrefix(m+", to store "+w.store, ", ")
}

// line writes the one line about an attempt.
func (d Deps) line(ctx context.Context, w work, bytes int64, took time.Duration, err error) {
	ev, msg := d.Log.Info(), "stage done"
	if err != nil {
		ev, msg = d.Log.Warn().Str("code", string(value(err).Code)).Str("error", trace(err)), "stage ended with an error"
	}
	ev.Str("task", w.taskID).Str("image", w.imageID).Str("stage", string(w.stage)).
		Int32("attempt", activity.GetInfo(ctx).Attempt).Int64("bytes", bytes).Dur("duration_ms", took).Msg(msg)
}
