package faultproxy

import (
	"net"
	"sync"
	"time"
)

const (
	// chunkBytes is the most that is read at once: small enough that shaping
	// to 1 MB/s is smooth, large enough that 1 GB/s is cheap.
	chunkBytes = 32 << 10

	// queueChunks bounds what is under way in one direction of a connection
	// (4 MiB), as a receive window does. 125 MB/s at 20 ms one way are 2.5 MB.
	queueChunks = 128
)

// pair is one connection: the client's side and the server's.
type pair struct {
	proxy  *Proxy
	client net.Conn
	fault  Fault

	mu     sync.Mutex
	server net.Conn
	ended  chan struct{} // closed by end
	over   bool
}

// chunk is bytes that reach the other side at a moment. No bytes are the end
// of the stream.
type chunk struct {
	data []byte
	due  time.Time
}

// run forwards until both directions have ended.
func (c *pair) run(target string) {
	if !c.wait(time.Now().Add(c.proxy.shape.Load().Latency)) {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		c.end(true)
		return
	}
	c.mu.Lock()
	c.server = server
	over := c.over
	c.mu.Unlock()
	if over {
		server.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.forward(c.client, server, ToServer) })
	both.Go(func() { c.forward(server, c.client, ToClient) })
	both.Wait()
}

// forward carries one direction: one goroutine reads and stamps, this one
// waits for the stamp and writes.
func (c *pair) forward(from, to net.Conn, dir Direction) {
	queue := make(chan chunk, queueChunks)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		c.read(from, queue, dir)
	})
	defer reader.Wait()
	var passed int64
	for next := range queue {
		if !c.wait(next.due) {
			break
		}
		if len(next.data) == 0 {
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
			return
		}
		if !c.pass(to, next.data, passed, dir) {
			break
		}
		passed += int64(len(next.data))
	}
	c.end(false)
}

// read stamps what comes with the moment at which the link delivers it.
func (c *pair) read(from net.Conn, queue chan<- chunk, dir Direction) {
	for {
		data := make([]byte, chunkBytes)
		n, err := from.Read(data)
		shape := c.proxy.shape.Load()
		due := c.proxy.lanes[dir].reserve(n, shape.BytesPerSecond).Add(shape.Latency / 2)
		if n > 0 && !c.enqueue(queue, chunk{data: data[:n], due: due}) {
			return
		}
		if err != nil {
			c.enqueue(queue, chunk{due: due})
			return
		}
	}
}

func (c *pair) enqueue(queue chan<- chunk, next chunk) bool {
	select {
	case queue <- next:
		return true
	case <-c.ended:
		return false
	}
}

// pass writes data, of which passed bytes went before, and lets the fault
// strike. False says that the connection is over.
func (c *pair) pass(to net.Conn, data []byte, passed int64, dir Direction) bool {
	left := c.fault.After - passed
	strikes := c.fault.Kind != None && c.fault.Direction == dir && left >= 0 && left < int64(len(data))
	if strikes && c.fault.Kind == Corrupt {
		data[left] ^= 0xff
		strikes = false
	}
	if strikes {
		data = data[:left]
	}
	n, err := to.Write(data)
	c.proxy.bytes[dir].Add(int64(n))
	if err != nil {
		return false
	}
	if !strikes {
		return true
	}
	if c.fault.Kind == Stall {
		<-c.ended
		return false
	}
	c.end(c.fault.Kind == Reset)
	return false
}

// wait sleeps until the moment; false says that the connection ended first.
func (c *pair) wait(until time.Time) bool {
	left := time.Until(until)
	if left <= 0 {
		select {
		case <-c.ended:
			return false
		default:
			return true
		}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ended:
		return false
	}
}

// end closes both sides, with RST if reset. It may be called again.
func (c *pair) end(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over = true
		close(c.ended)
	}
	for _, side := range []net.Conn{c.client, c.server} {
		if side == nil {
			continue
		}
		if tcp, ok := side.(*net.TCPConn); ok && reset {
			tcp.SetLinger(0)
		}
		side.Close()
	}
}
