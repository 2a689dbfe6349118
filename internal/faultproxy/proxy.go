package faultproxy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is what a fault does to its connection.
type Kind int

const (
	// None leaves the connection alone.
	None Kind = iota
	// Close ends the connection in order (FIN): the stream is truncated.
	Close
	// Reset ends it with RST; bytes under way are lost.
	Reset
	// Stall forwards nothing more in either direction and ends nothing.
	Stall
	// Corrupt inverts the byte after the first After bytes and goes on.
	Corrupt
)

// Direction is the way of the bytes that a fault counts.
type Direction int

const (
	// ToClient counts what the server sends.
	ToClient Direction = iota
	// ToServer counts what the client sends.
	ToServer
)

// Fault strikes a connection once After bytes have passed in Direction.
// Reset after 0 bytes ToClient ends the connection before the server's first
// byte reaches the client.
type Fault struct {
	Kind      Kind
	After     int64
	Direction Direction
}

// Shape is what every connection meets. The zero value adds nothing.
type Shape struct {
	// Latency is added to every round trip, half of it in each direction. A
	// connection costs one more round trip before its first byte, as a TCP
	// handshake does.
	Latency time.Duration
	// BytesPerSecond bounds each direction of all connections together. 0 is
	// no bound.
	BytesPerSecond int64
}

// Counts are the totals since Start. Bytes are counted when they have been
// written to the side that they were meant for.
type Counts struct {
	Accepted int64
	Open     int64
	ToClient int64
	ToServer int64
}

// Proxy forwards connections to one server. Its methods may be called from
// several goroutines.
type Proxy struct {
	listener net.Listener
	target   string
	shape    atomic.Pointer[Shape]
	lanes    [2]lane // indexed by Direction

	accepted, open atomic.Int64
	bytes          [2]atomic.Int64 // indexed by Direction

	mu     sync.Mutex
	faults func(conn int) Fault
	conns  map[*pair]struct{}
	closed bool
	done   sync.WaitGroup
}

// Start listens on a free port of 127.0.0.1 and forwards every connection to
// target, a "host:port". The caller calls Close.
func Start(target string, shape Shape) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: target, conns: map[*pair]struct{}{}}
	p.shape.Store(&shape)
	p.done.Go(p.accept)
	return p, nil
}

// Addr is the "host:port" to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetShape changes latency and bandwidth for the bytes read from here on.
func (p *Proxy) SetShape(shape Shape) { p.shape.Store(&shape) }

// SetFaults makes choose decide, for each connection accepted from here on,
// which fault it meets. It gets the connection's number, from 0 since Start,
// and is called from one goroutine. Nil is no faults.
func (p *Proxy) SetFaults(choose func(conn int) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = choose
}

// Counts returns the totals so far.
func (p *Proxy) Counts() Counts {
	return Counts{
		Accepted: p.accepted.Load(),
		Open:     p.open.Load(),
		ToClient: p.bytes[ToClient].Load(),
		ToServer: p.bytes[ToServer].Load(),
	}
}

// ResetAll ends every open connection with RST and returns how many.
func (p *Proxy) ResetAll() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.end(true)
	}
	return len(p.conns)
}

// Close stops listening, ends every connection and waits for its goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	already := p.closed
	p.closed = true
	p.mu.Unlock()
	if already {
		return nil
	}
	err := p.listener.Close()
	p.ResetAll()
	p.done.Wait()
	return err
}

func (p *Proxy) accept() {
	for number := 0; ; number++ {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		c := p.admit(client, number)
		if c == nil {
			client.Close()
			return
		}
		p.done.Go(func() {
			defer p.forget(c)
			c.run(p.target)
		})
	}
}

// admit registers a connection; nil says that the proxy is closed.
func (p *Proxy) admit(client net.Conn, number int) *pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	c := &pair{proxy: p, client: client, ended: make(chan struct{})}
	if p.faults != nil {
		c.fault = p.faults(number)
	}
	p.accepted.Add(1)
	p.open.Add(1)
	p.conns[c] = struct{}{}
	return c
}

func (p *Proxy) forget(c *pair) {
	c.end(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	p.open.Add(-1)
}

// lane is one direction of the link that all connections share.
type lane struct {
	mu   sync.Mutex
	free time.Time // when the link has sent all that was given to it
}

// reserve gives the link n bytes and returns when the last has been sent.
func (l *lane) reserve(n int, bytesPerSecond int64) time.Time {
	at := time.Now()
	if bytesPerSecond <= 0 {
		return at
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(at) {
		l.free = at
	}
	l.free = l.free.Add(time.Duration(float64(n) / float64(bytesPerSecond) * float64(time.Second)))
	return l.free
}
