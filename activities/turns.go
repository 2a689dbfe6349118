package activities

import (
	"context"
	"slices"
	"sync"
	"time"

	"ingest/internal/contract"
)

// rankTime is how long Turns wait to be told who goes first, before it is who waits
// longest.
const rankTime = 2 * time.Second

// Turns is room for some steps at a time. Of those that wait, the one whose task has the
// highest priority goes first; among equals, the one that has waited longest.
type Turns struct {
	// rank returns the priorities of tasks as they are now; nil ranks all alike.
	rank func(ctx context.Context, tasks []string) (map[string]int, error)

	mu       sync.Mutex
	room     int
	waiting  []*waiter // in the order in which they came
	choosing bool      // somebody finds out whose turn it is
}

// A waiter is a step that waits. Its channel is closed when it has room.
type waiter struct {
	task  string
	begin chan struct{}
}

// NewTurns returns room for n steps at a time. rank tells the priorities of tasks when
// there is room: they may have changed since a task began to wait. nil ranks all alike.
func NewTurns(n int, rank func(ctx context.Context, tasks []string) (map[string]int, error)) *Turns {
	return &Turns{room: n, rank: rank}
}

// Free returns how many steps could begin at once.
func (t *Turns) Free() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.room
}

// Take waits for room, and returns how to give it back. Who gives up waiting gets the
// cause of the context's end.
func (t *Turns) Take(ctx context.Context, task string) (leave func(), err error) {
	t.mu.Lock()
	if t.room > 0 && len(t.waiting) == 0 {
		t.room--
		t.mu.Unlock()
		return sync.OnceFunc(t.give), nil
	}
	w := &waiter{task: task, begin: make(chan struct{})}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	select {
	case <-w.begin:
		return sync.OnceFunc(t.give), nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	at := slices.Index(t.waiting, w)
	if at >= 0 {
		t.waiting = slices.Delete(t.waiting, at, at+1)
	}
	t.mu.Unlock()
	if at < 0 { // room was given at the same moment
		t.give()
	}
	return nil, context.Cause(ctx)
}

// give gives room back, and hands it on.
func (t *Turns) give() {
	t.mu.Lock()
	t.room++
	start := !t.choosing && len(t.waiting) > 0
	t.choosing = t.choosing || start
	t.mu.Unlock()
	if start {
		go t.handOn()
	}
}

// handOn gives room to those whose turn it is, until there is none or nobody waits. One
// at a time does it; whoever gives room back meanwhile leaves it to that one.
func (t *Turns) handOn() {
	for {
		t.mu.Lock()
		if t.room == 0 || len(t.waiting) == 0 {
			t.choosing = false
			t.mu.Unlock()
			return
		}
		var tasks []string
		for _, w := range t.waiting {
			tasks = append(tasks, w.task)
		}
		t.mu.Unlock()
		ranks := t.ranks(tasks)
		t.mu.Lock()
		if t.room > 0 && len(t.waiting) > 0 { // others may have come and gone
			best := 0
			for i, w := range t.waiting {
				if rankOf(ranks, w.task) > rankOf(ranks, t.waiting[best].task) {
					best = i
				}
			}
			t.room--
			close(t.waiting[best].begin)
			t.waiting = slices.Delete(t.waiting, best, best+1)
		}
		t.mu.Unlock()
	}
}

// ranks asks for the priorities. Without an answer nobody overtakes anybody.
func (t *Turns) ranks(tasks []string) map[string]int {
	if t.rank == nil || len(tasks) < 2 {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), rankTime)
	defer stop()
	ranks, err := t.rank(ctx, tasks)
	if err != nil {
		return nil
	}
	return ranks
}

// rankOf is the priority of a task, that of most for one of which nothing is known.
func rankOf(ranks map[string]int, task string) int {
	if p, known := ranks[task]; known {
		return p
	}
	return contract.DefaultPriority
}
