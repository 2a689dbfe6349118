package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// Bounds of streams of progress.
const (
	// streamLife is how long one stream lasts. Whoever listens comes again by itself, and
	// proves again who it is.
	streamLife = 15 * time.Minute
	// keepAlive is the time between two signs of life, shorter than proxies' patience.
	keepAlive = 15 * time.Second
	// writeTime is how long a reader may take for one event.
	writeTime = 10 * time.Second
	// comeAgain is when a listener shall come again, milliseconds.
	comeAgain = 2000
	// lastID is the id of the event that ends a stream: who has it needs nothing more.
	lastID = "end"
)

// wantsStream reports whether the caller asks for events rather than for one answer.
func wantsStream(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(kind), "text/event-stream") {
			return true
		}
	}
	return false
}

// streamTask sends what happens to a task as server-sent events, until it has ended.
func (a *api) streamTask(w http.ResponseWriter, r *http.Request) error {
	t, err := a.taskFor(r, "get_task")
	if err != nil {
		return err
	}
	return a.stream(w, r, t)
}

func (a *api) stream(w http.ResponseWriter, r *http.Request, t metadata.Task) error {
	seen, over, err := lastEvent(r)
	if err != nil {
		return err
	}
	if over {
		w.WriteHeader(http.StatusNoContent) // by which a browser knows that it need not come again
		return nil
	}
	sub, err := a.streams.join(t.ID, caller(r).Project)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		return err
	}
	defer a.streams.leave(sub)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &sseWriter{w: w, ctl: http.NewResponseController(w), seen: seen, shown: func(t metadata.Task) metadata.Task { return a.taskShown(r, t) }}
	if out.raw(fmt.Sprintf("retry: %d\n\n", comeAgain)) == nil {
		a.feed(r.Context(), out, sub)
	}
	return nil
}

// feed writes what a subscription brings, until the task has ended, the reader is gone or
// too slow, or the stream has lasted long enough.
func (a *api) feed(ctx context.Context, out *sseWriter, sub *subscription) {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	life := time.NewTimer(streamLife)
	defer life.Stop()
	for {
		var err error
		select {
		case f, more := <-sub.frames:
			if !more {
				return
			}
			err = out.frames(f)
		case <-alive.C:
			err = out.raw(": alive\n\n")
		case <-life.C:
			return
		case <-a.Closing:
			return
		case <-ctx.Done():
			return
		}
		if err != nil || out.ended {
			return
		}
	}
}

// lastEvent reads what a listener that comes again has had. over says that it has had
// the end.
func lastEvent(r *http.Request) (seq int64, over bool, err error) {
	switch id := r.Header.Get("Last-Event-ID"); id {
	case "":
		return 0, false, nil
	case lastID:
		return 0, true, nil
	default:
		seq, err := strconv.ParseInt(id, 10, 64)
		if err != nil || seq < 0 {
			return 0, false, badField("Last-Event-ID", id, "expected the id of an event of this stream")
		}
		return seq, false, nil
	}
}

// A frame is one event of a stream.
type frame struct {
	event string // "stage", "progress", "end"
	seq   int64  // of a stage, in the task's history; 0 for others
	data  []byte // one line of JSON
	// task is what the end is told of. Its data are for comparing alone: what each
	// listener may see of it is another matter.
	task *metadata.Task
}

// An sseWriter writes events to one reader.
type sseWriter struct {
	w     http.ResponseWriter
	ctl   *http.ResponseController
	seen  int64 // number of the last event of the history that the reader has
	ended bool
	// shown returns what the reader may see of a task.
	shown func(metadata.Task) metadata.Task
}

// frames writes those that the reader has not had.
func (s *sseWriter) frames(all []frame) error {
	var b strings.Builder
	for _, f := range all {
		if f.seq > 0 && f.seq <= s.seen {
			continue
		}
		switch {
		case f.seq > 0:
			s.seen = f.seq
			fmt.Fprintf(&b, "id: %d\n", f.seq)
		case f.event == "end":
			s.ended = true
			b.WriteString("id: " + lastID + "\n")
		}
		if f.task != nil {
			f.data = line(wholeOf(s.shown(*f.task)))
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", f.event, f.data)
	}
	if b.Len() == 0 {
		return nil
	}
	return s.raw(b.String())
}

// raw writes text, and gives up a reader that does not take it.
func (s *sseWriter) raw(text string) error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(writeTime))      // a recorder of a test has none
	defer func() { _ = s.ctl.SetWriteDeadline(time.Time{}) }() // or HTTP/2 would end the stream between two events
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// framesOf is everything that can be said of a task now: its history, how far it is, and
// its end if it has come.
func (a *api) framesOf(ctx context.Context, taskID string) (out []frame, err error) {
	t, err := a.Catalogue.Task(ctx, taskID)
	if err != nil {
		return nil, err
	}
	events, err := a.Catalogue.Events(ctx, taskID)
	if err != nil {
		return nil, err
	}
	for _, e := range eventsOf(slices.DeleteFunc(events, func(e metadata.Event) bool { return e.Kind == metadata.EventReport })) {
		e.Detail = nil
		out = append(out, frame{event: "stage", seq: e.Seq, data: line(e)})
	}
	out = append(out, frame{event: "progress", data: line(a.progressOf(ctx, t))})
	if t.Status.Finished() {
		out = append(out, frame{event: "end", data: line(wholeOf(t)), task: &t})
	}
	return out, nil
}

// line writes a value as one line of JSON, which a line of an event must be.
func line(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return []byte("{}")
	}
	return raw
}

// progressOf is how far a task is, from the running workflow, and from the catalogue if
// the task has ended or the workflow service does not answer.
func (a *api) progressOf(ctx context.Context, t metadata.Task) contract.Progress {
	p := recorded(t)
	if t.Status.Finished() {
		return p
	}
	live, err := a.Imports.Progress(ctx, t)
	if err != nil {
		a.Log.Debug().Err(err).Str("task", t.ID).Msg("no live progress")
		return p
	}
	// The status, and whether it is paused, are the catalogue's to tell.
	live.TaskID, live.Status, live.Paused = t.ID, string(t.Status), t.Paused
	if t.Paused {
		live.Rate, live.ETA, live.Message = 0, -1, "paused"
	}
	return live
}

// tooMany says that a project, or the whole server, has all the streams it may have.
func tooMany(most int, whose string) error {
	return errcode.New(errcode.TooManyRequests, "%d streams are open, which is all that %s may have", most, whose)
}
