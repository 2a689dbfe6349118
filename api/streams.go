package api

import (
	"bytes"
	"context"
	"sync"
	"time"

	"ingest/internal/errcode"
)

// How many streams there may be: each holds a connection and a few KiB.
const (
	maxStreams        = 1000
	maxProjectStreams = 64
	// maxBehind is how many looks at a task a reader may be behind the others.
	maxBehind = 16
)

// streams are the open streams of progress. A task is looked at once a second, however
// many listen to it.
type streams struct {
	look  func(ctx context.Context, taskID string) ([]frame, error)
	every time.Duration

	mu       sync.Mutex
	open     int
	projects map[string]int
	tasks    map[string]*watched
}

// watched is a task that somebody listens to.
type watched struct {
	stop context.CancelFunc
	last []frame // of the last look, for who comes later; nil before the first
	subs map[*subscription]bool
}

// A subscription is one listener. Its channel is closed when nothing more comes, or when
// it is too far behind.
type subscription struct {
	task, project string
	frames        chan []frame
	closed        bool
}

func newStreams(look func(context.Context, string) ([]frame, error), every time.Duration) *streams {
	return &streams{look: look, every: every, projects: map[string]int{}, tasks: map[string]*watched{}}
}

// join begins to listen to a task. errcode.TooManyRequests says that there are too many.
func (s *streams) join(task, project string) (*subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.open >= maxStreams:
		return nil, tooMany(maxStreams, "the server")
	case s.projects[project] >= maxProjectStreams:
		return nil, tooMany(maxProjectStreams, "a project")
	}
	sub := &subscription{task: task, project: project, frames: make(chan []frame, maxBehind)}
	w := s.tasks[task]
	if w == nil {
		ctx, stop := context.WithCancel(context.Background())
		w = &watched{stop: stop, subs: map[*subscription]bool{}}
		s.tasks[task] = w
		go s.watch(ctx, task, w)
	} else if w.last != nil {
		sub.frames <- w.last
	}
	w.subs[sub] = true
	s.open++
	s.projects[project]++
	return sub, nil
}

// leave ends a subscription. Nobody looks at a task to which nobody listens.
func (s *streams) leave(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.projects[sub.project]--; s.projects[sub.project] == 0 {
		delete(s.projects, sub.project)
	}
	w := s.tasks[sub.task]
	if w == nil || !w.subs[sub] {
		return
	}
	delete(w.subs, sub)
	if len(w.subs) == 0 {
		w.stop()
		delete(s.tasks, sub.task)
	}
}

// watch looks at a task until it has ended, is gone, or nobody listens any more.
func (s *streams) watch(ctx context.Context, task string, w *watched) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		all, err := s.look(ctx, task)
		if ctx.Err() != nil {
			return
		}
		over := errcode.Of(err) == errcode.NotFound || len(all) > 0 && all[len(all)-1].event == "end"
		s.publish(task, w, all, over)
		if over {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// publish tells all listeners what is new. One that is too far behind is let go: it comes
// again, and is told what it has missed.
func (s *streams) publish(task string, w *watched, all []frame, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := news(w.last, all)
	if len(all) > 0 {
		w.last = all
	}
	for sub := range w.subs {
		if len(fresh) > 0 && !sub.closed {
			select {
			case sub.frames <- fresh:
			default:
				sub.closed = true
				close(sub.frames)
			}
		}
		if over && !sub.closed {
			sub.closed = true
			close(sub.frames)
		}
	}
	if over && s.tasks[task] == w {
		w.stop()
		delete(s.tasks, task)
	}
}

// news are the frames of a look that the look before had not.
func news(before, now []frame) []frame {
	var seq int64
	known := map[string][]byte{}
	for _, f := range before {
		seq = max(seq, f.seq)
		if f.seq == 0 {
			known[f.event] = f.data
		}
	}
	var out []frame
	for _, f := range now {
		if f.seq > seq || f.seq == 0 && !bytes.Equal(known[f.event], f.data) {
			out = append(out, f)
		}
	}
	return out
}
