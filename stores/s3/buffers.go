package s3

import (
	"bytes"
	"slices"
)

// buffered are bytes that are sent.
type buffered struct {
	*bytes.Reader
	bytes []byte
	again []byte // the buffer, if it is to be used again once they are sent
}

func newBuffered(b []byte) *buffered { return &buffered{Reader: bytes.NewReader(b), bytes: b} }

// Buffers are used again, because the garbage of parts that were sent would take as
// much memory as those that are being sent.

// buffer returns zeros.
func (p *parts) buffer(size int64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bufferLocked(size)
}

// bufferLocked is buffer for a caller that holds the lock, and has reserved size.
func (p *parts) bufferLocked(size int64) []byte {
	for i, b := range p.free {
		if int64(len(b)) == size {
			p.free = slices.Delete(p.free, i, i+1)
			clear(b)
			return b
		}
	}
	p.free = nil // of another size: the parts have grown
	return make([]byte, size)
}

// giveBack keeps a buffer that nobody reads any more.
func (p *parts) giveBack(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBackLocked(b)
}

// giveBackLocked keeps a buffer, or lets go of it if more would be held with it than
// the memory is. The caller holds the lock.
func (p *parts) giveBackLocked(b []byte) {
	sum := p.used + int64(len(b))
	for _, f := range p.free {
		sum += int64(len(f))
	}
	if len(b) > 0 && sum <= p.u.s.o.Memory {
		p.free = append(p.free, b)
	}
}
