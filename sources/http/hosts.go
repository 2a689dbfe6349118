package http

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"ingest/internal/bandwidth"
	"ingest/internal/pause"
)

// A HostLimit is what one host may be asked for by this process. The zero value
// of a field means the driver's own default.
type HostLimit struct {
	Connections    int   // requests at one time; < 0 means no limit
	BytesPerSecond int64 // of all its answers together; < 0 means no limit
}

// maxHosts bounds how many hosts are remembered. Those that nobody uses go first.
const maxHosts = 1024

// maxPause bounds how long a host's Retry-After is heeded. What a server wants to
// have later is asked for again then.
const maxPause = 2 * time.Minute

// hosts are the budgets of all hosts that are asked. They are shared by all
// sources of a driver.
type hosts struct {
	def HostLimit
	own map[string]HostLimit

	mu  sync.Mutex
	all map[string]*host
}

func newHosts(o Options) *hosts {
	h := &hosts{def: o.PerHost, own: map[string]HostLimit{}, all: map[string]*host{}}
	for name, limit := range o.Hosts {
		h.own[strings.ToLower(name)] = limit
	}
	return h
}

// limit returns what holds for a host, which overrides name with a port or without.
func (h *hosts) limit(key, name string) HostLimit {
	limit, ok := h.own[key]
	if !ok {
		limit = h.own[name]
	}
	if limit.Connections == 0 {
		limit.Connections = h.def.Connections
	}
	if limit.BytesPerSecond == 0 {
		limit.BytesPerSecond = h.def.BytesPerSecond
	}
	return limit
}

// keyOf names a URL's host with its port.
func keyOf(u *url.URL) string {
	return net.JoinHostPort(strings.ToLower(u.Hostname()), portOf(u))
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// take waits for a connection of u's budget. The caller calls release.
func (h *hosts) take(ctx context.Context, u *url.URL) (*host, error) {
	key := keyOf(u)
	h.mu.Lock()
	one := h.all[key]
	if one == nil {
		h.forget()
		one = newHost(h.limit(key, strings.ToLower(u.Hostname())))
		h.all[key] = one
	}
	one.users++
	h.mu.Unlock()
	err := one.take(ctx)
	if err != nil {
		h.leave(one)
		return nil, err
	}
	return one, nil
}

// release gives a connection back.
func (h *hosts) release(one *host) {
	one.release()
	h.leave(one)
}

func (h *hosts) leave(one *host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.users--
}

// forget makes room for one more host.
func (h *hosts) forget() {
	if len(h.all) < maxHosts {
		return
	}
	for key, one := range h.all {
		if one.users == 0 {
			delete(h.all, key)
		}
	}
}

// pause keeps everybody from asking u's host for d.
func (h *hosts) pause(u *url.URL, d time.Duration) {
	h.mu.Lock()
	one := h.all[keyOf(u)]
	h.mu.Unlock()
	if one != nil && d > 0 {
		one.pause(min(d, maxPause))
	}
}

// host is the budget of one host. Who comes first is served first.
type host struct {
	limit  HostLimit
	budget []*bandwidth.Bucket // of the bytes of its answers, none without a limit
	users  int                 // under the mutex of hosts

	mu      sync.Mutex
	busy    int
	waiting []chan struct{}
	until   time.Time // nobody asks before it
}

func newHost(limit HostLimit) *host {
	h := &host{limit: limit}
	if limit.BytesPerSecond > 0 {
		h.budget = []*bandwidth.Bucket{bandwidth.NewBucket(bandwidth.Rate(limit.BytesPerSecond))}
	}
	return h
}

func (h *host) take(ctx context.Context) error {
	h.mu.Lock()
	if h.limit.Connections <= 0 || h.busy < h.limit.Connections && len(h.waiting) == 0 {
		h.busy++
		h.mu.Unlock()
	} else {
		turn := make(chan struct{})
		h.waiting = append(h.waiting, turn)
		h.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			h.giveUp(turn)
			return ctx.Err()
		}
	}
	for {
		h.mu.Lock()
		until := h.until
		h.mu.Unlock()
		if !time.Now().Before(until) {
			return nil
		}
		if err := pause.For(ctx, time.Until(until)); err != nil {
			h.release()
			return err
		}
	}
}

// giveUp leaves the queue, or passes on a turn that has just come.
func (h *host) giveUp(turn chan struct{}) {
	h.mu.Lock()
	for i, have := range h.waiting {
		if have == turn {
			h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
			h.mu.Unlock()
			return
		}
	}
	h.mu.Unlock()
	h.release()
}

// release hands the connection to who waits the longest.
func (h *host) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) > 0 {
		close(h.waiting[0])
		h.waiting = h.waiting[1:]
		return
	}
	h.busy--
}

func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := time.Now().Add(d); until.After(h.until) {
		h.until = until
	}
}
