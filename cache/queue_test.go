package cache

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingest/internal/errcode"
)

// fetchAll fetches what is queued, once.
func fetchAll(t testing.TB, c *Cache) {
	t.Helper()
	for {
		q, _ := c.next()
		if q == nil {
			return
		}
		c.fetched(t.Context(), q, c.fetch(t.Context(), q.Object))
	}
}

func TestQueue(t *testing.T) {
	src := newRemote()
	a, first := src.put(t, mib)
	b, second := src.put(t, 2*mib)
	c := open(t, Options{Source: src})
	for _, o := range []Object{b, a, b} {
		if err := c.Queue(o); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	c = open(t, c.o)
	if q := c.View().Queue; len(q) != 2 || q[0].Object != b || q[1].Object != a {
		t.Fatalf("after a restart: %+v", q)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		c.Run(ctx)
		close(ended)
	}()
	for len(c.View().Queue) > 0 {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-ended
	get(t, c, a, first, 0, -1)
	get(t, c, b, second, 5, -1)
	if n := src.opens.Load(); n != 2 {
		t.Errorf("%d reads of the store", n)
	}
	if err := c.Queue(a); err != nil || len(c.View().Queue) != 0 {
		t.Errorf("what is there is queued: %v", err)
	}
	if _, _, queue := files(t, c); len(queue) != 0 {
		t.Errorf("%v", queue)
	}
	whole(t, c)
}

func TestQueueJoinsFill(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 4*mib)
	c := open(t, Options{Source: src})
	let := stopAt(src, mib)
	r, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	reached(t, c, o, mib)
	c.fills[id(o.Store, o.Key)].want()
	r.Close()
	let()
	if err := c.fetch(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	get(t, c, o, data, 0, -1)
	if n := src.opens.Load(); n != 1 {
		t.Errorf("%d reads of the store", n)
	}
}

func TestQueueFails(t *testing.T) {
	src := newRemote()
	gone, _ := src.put(t, mib)
	bad, _ := src.put(t, mib)
	c := open(t, Options{Source: src})
	if err := errors.Join(src.Delete(t.Context(), gone.Key), c.Queue(gone), c.Queue(bad)); err != nil {
		t.Fatal(err)
	}
	src.hold(func(context.Context, int64) error { return errors.New("away") })
	fetchAll(t, c)
	if q := c.View().Queue; len(q) != 1 || q[0].Object != bad || q[0].Tries != 1 {
		t.Fatalf("%+v", q)
	}
	if _, pause := c.next(); pause <= 0 || pause > prefetchPause {
		t.Errorf("the next try comes in %s", pause)
	}
	for range prefetchTries {
		for _, q := range c.queue {
			q.before = time.Time{}
		}
		fetchAll(t, c)
	}
	if v := c.View(); len(v.Queue) != 0 || v.Stats.Failed != prefetchTries+1 {
		t.Errorf("%+v", v)
	}
	whole(t, c)
}

func TestClear(t *testing.T) {
	src := newRemote()
	a, data := src.put(t, mib)
	b, _ := src.put(t, mib)
	c := open(t, Options{Source: src})
	get(t, c, a, data, 0, -1)
	settle(t, c)
	if err := c.Queue(b); err != nil {
		t.Fatal(err)
	}
	if n := c.Clear(); n != 1 || has(c, a) || len(c.View().Queue) != 1 {
		t.Errorf("Clear: %d, %+v", n, c.View())
	}
	if n := c.ClearQueue(); n != 1 || len(c.View().Queue) != 0 {
		t.Errorf("ClearQueue: %d, %+v", n, c.View())
	}
	if _, _, queue := files(t, c); len(queue) != 0 {
		t.Errorf("%v", queue)
	}
	whole(t, c)
}

func TestQueueIsBounded(t *testing.T) {
	src := newRemote()
	o, _ := src.put(t, mib)
	c := open(t, Options{Source: src})
	c.queue = make([]*queued, MaxQueue)
	for i := range c.queue {
		c.queue[i] = &queued{}
	}
	if err := c.Queue(o); errcode.Of(err) != errcode.NoSpace {
		t.Errorf("one too many: %v", err)
	}
	c.queue = c.queue[1:]
	if err := c.Queue(o); err != nil {
		t.Error(err)
	}
}
