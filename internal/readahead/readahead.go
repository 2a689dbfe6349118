package readahead

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"sync"
)

// The defaults of Options.
const (
	DefaultChunk = 1 << 20
	// DefaultMemory is a part of what a killed import may have to read again:
	// pipeline.LostByKill.
	DefaultMemory = 24 << 20
	DefaultAhead  = 4
	// DefaultMostAhead is what 100 ms of latency take to keep 1 Gbit/s busy, and some.
	DefaultMostAhead = 16
)

// A Fetch fills p with the bytes at off, or returns an error. It is called
// concurrently, and never beyond the size.
type Fetch func(ctx context.Context, p []byte, off int64) error

// Options tune a Reader. The zero value means the defaults.
type Options struct {
	Chunk  int   // bytes of a chunk
	Memory int64 // bytes of the chunks that are kept or being fetched ahead
	Ahead  int   // chunks that are fetched ahead at one time, at first; < 0 means none
	// MostAhead bounds the chunks ahead, which become more as long as a sequence of
	// reads has to wait for them. Memory bounds them too.
	MostAhead int
}

// What ForTables makes of the options.
const (
	tableChunk = 128 << 10
	tableAhead = 1
)

// ForTables returns options for whoever reads tables here and there: small chunks,
// and next to nothing ahead. A sequence that goes on makes it more.
func (o Options) ForTables() Options {
	if o.Chunk <= 0 || o.Chunk > tableChunk {
		o.Chunk = tableChunk
	}
	if o.Ahead == 0 || o.Ahead > tableAhead {
		o.Ahead = tableAhead
	}
	return o
}

// maxRuns is how many sequential readers are told apart, such as the workers
// of one copy.
const maxRuns = 16

// A Reader reads any range through a Fetch. It is safe for concurrent use.
type Reader struct {
	ctx   context.Context
	fetch Fetch
	size  int64
	opt   Options

	mu     sync.Mutex
	chunks map[int64]*chunk
	lru    list.List // of *chunk that are filled, the last used in front
	spent  list.List // of *chunk that runs have passed, the last in front: dropped first
	flying int       // chunks being fetched
	unread int       // chunks fetched ahead that no read has come to
	ahead  int       // chunks being fetched ahead
	depth  int       // chunks that may be fetched ahead
	runs   []run     // the last seen in front
	idle   [][]byte  // of chunks that were dropped, for the next ones
}

var _ io.ReaderAt = (*Reader)(nil)

// chunk is one piece of the source, being fetched or kept.
type chunk struct {
	index int64
	ready chan struct{} // closed when data and err are set
	data  []byte
	err   error
	elem  *list.Element // nil while it is fetched
	in    *list.List    // that elem is of
	// passed says that runs of reads have read all of it. Chunks ahead were used less
	// lately and are wanted next.
	passed bool
	read   int64 // bytes that runs have read
	ahead  bool  // fetched ahead, and no read has come to it
	users  int   // reads that hold it
	gone   bool  // dropped: the last user leaves its bytes to another chunk
}

// run is a sequence of reads that follow each other.
type run struct {
	end   int64 // where the furthest read ended
	hits  int   // reads that followed
	large bool  // of reads that are larger than a chunk
	wide  int64 // how far behind the end reads have begun, bytes
}

// New returns a reader of size bytes. The context ends all reads, also those
// that wait.
func New(ctx context.Context, fetch Fetch, size int64, opt Options) *Reader {
	if opt.Chunk <= 0 {
		opt.Chunk = DefaultChunk
	}
	if opt.Memory <= 0 {
		opt.Memory = DefaultMemory
	}
	if opt.Ahead == 0 {
		opt.Ahead = DefaultAhead
	}
	if opt.MostAhead <= 0 {
		opt.MostAhead = DefaultMostAhead
	}
	return &Reader{ctx: ctx, fetch: fetch, size: size, opt: opt, depth: opt.Ahead, chunks: map[int64]*chunk{}}
}

// ReadAt reads len(p) bytes at off, as io.ReaderAt has it.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if off >= r.size {
		return 0, io.EOF
	}
	eof := int64(len(p)) > r.size-off
	if eof {
		p = p[:r.size-off]
	}
	n, err := r.read(p, off)
	if err == nil && eof {
		err = io.EOF
	}
	return n, err
}

func (r *Reader) read(p []byte, off int64) (int, error) {
	chunks := r.take(off, int64(len(p)))
	if chunks == nil {
		if err := r.fetch(r.ctx, p, off); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	defer r.release(chunks)
	done := 0
	for _, c := range chunks {
		select {
		case <-c.ready:
		default:
			r.deepen()
		}
		select {
		case <-c.ready:
		case <-r.ctx.Done():
			return done, r.ctx.Err()
		}
		if c.err != nil {
			return done, c.err
		}
		done += copy(p[done:], c.data[off+int64(done)-c.index*int64(r.opt.Chunk):])
	}
	return done, nil
}

// take returns the chunks of a read, kept or being fetched, and fetches ahead if the
// read follows others. They are taken at once: one that is dropped before the read
// comes to it would be fetched again. A read that is better made by itself has none.
func (r *Reader) take(off, n int64) []*chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := int64(r.opt.Chunk)
	first, last := off/size, (off+n-1)/size
	at := r.follow(off, off+n)
	if n > size && (r.opt.Ahead < 0 || 4*n > r.opt.Memory || at.hits == 0 && !r.has(first, last)) {
		return nil
	}
	chunks := make([]*chunk, 0, last-first+1)
	for index := first; index <= last; index++ {
		c := r.chunks[index]
		if c == nil {
			c = r.start(index, false)
		}
		if end := min((index+1)*size, r.size); at.hits > 0 {
			// Of two reads on both sides of a border, either may come first.
			c.read += min(off+n, end) - max(off, index*size)
			c.passed = c.read >= end-index*size
		}
		if c.ahead && c.elem != nil {
			r.unread--
		}
		c.ahead = false
		c.users++
		r.place(c)
		chunks = append(chunks, c)
	}
	// Each read of a run counts as many chunks as it has.
	hits := at.hits
	if n > size {
		hits *= int(last - first + 1)
	}
	r.readAhead(max(last, (at.end-1)/size), hits, at.wide)
	return chunks
}

// has reports whether one of the chunks is kept or being fetched.
func (r *Reader) has(first, last int64) bool {
	for index := first; index <= last; index++ {
		if r.chunks[index] != nil {
			return true
		}
	}
	return false
}

// deepen lets more chunks be fetched ahead, since a reader has to wait: how many it
// takes is what latency and bandwidth make it. Readers that jump fetch none ahead
// and change nothing.
func (r *Reader) deepen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ahead >= r.depth && r.opt.Ahead > 0 {
		r.depth = min(r.depth+1, max(r.opt.MostAhead, r.opt.Ahead))
	}
}

// nearReads is how far large reads of one run come out of order, in reads: the workers
// of a copy take its units in order, and ask for them as they get to it.
const nearReads = 8

// follow notes a read of [off, end) and returns the run that it belongs to: as many
// reads as have led up to it without a gap.
func (r *Reader) follow(off, end int64) run {
	near := int64(0)
	if n := end - off; n > int64(r.opt.Chunk) {
		near = nearReads * n
	}
	for i, have := range r.runs {
		if off-have.end <= near && have.end-off <= near && (near == 0 || have.large) {
			copy(r.runs[1:i+1], r.runs[:i])
			r.runs[0] = run{end: max(end, have.end), hits: have.hits + 1, large: have.large, wide: max(have.wide, have.end-off)}
			return r.runs[0]
		}
	}
	if len(r.runs) < maxRuns {
		r.runs = append(r.runs, run{})
	}
	copy(r.runs[1:], r.runs)
	r.runs[0] = run{end: end, large: near > 0}
	return r.runs[0]
}

// readAhead fetches chunks behind the front of a run beside a read, more of them the
// longer the run is. wide is what reads behind its front may still ask for.
func (r *Reader) readAhead(front int64, hits int, wide int64) {
	last := (r.size - 1) / int64(r.opt.Chunk)
	for next := front + 1; next <= front+int64(min(hits, r.depth)) && next <= last; next++ {
		if r.chunks[next] != nil {
			continue
		}
		// Room for the chunk that is being read stays, or it would be fetched again.
		if r.ahead >= r.depth || int64(r.flying+r.unread+2)*int64(r.opt.Chunk)+wide > r.opt.Memory {
			return
		}
		r.start(next, true)
	}
}

// start begins the fetch of a chunk.
func (r *Reader) start(index int64, ahead bool) *chunk {
	c := &chunk{index: index, ready: make(chan struct{}), ahead: ahead}
	r.chunks[index] = c
	r.flying++
	if ahead {
		r.ahead++
	}
	r.evict()
	go func() {
		off := index * int64(r.opt.Chunk)
		data := r.buffer()[:min(int64(r.opt.Chunk), r.size-off)]
		err := r.fetch(r.ctx, data, off)
		r.mu.Lock()
		defer r.mu.Unlock()
		defer close(c.ready)
		r.flying--
		if ahead {
			r.ahead--
		}
		if err != nil {
			c.err = err
			delete(r.chunks, index) // the next read tries again
			return
		}
		c.data = data
		if c.ahead {
			r.unread++
		}
		c.in = &r.lru
		c.elem = r.lru.PushFront(c)
		r.place(c)
		r.evict()
	}()
	return c
}

// place puts a kept chunk where it is dropped in its turn.
func (r *Reader) place(c *chunk) {
	switch {
	case c.elem == nil: // being fetched
	case c.passed && c.in != &r.spent:
		c.in.Remove(c.elem)
		c.in = &r.spent
		c.elem = c.in.PushFront(c)
	default:
		c.in.MoveToFront(c.elem)
	}
}

// evict drops the chunks that runs have passed, and then those that were used the
// longest ago, until the rest fits. Those being fetched count and stay. A read that
// holds a dropped one keeps it.
func (r *Reader) evict() {
	for int64(r.flying+r.spent.Len()+r.lru.Len())*int64(r.opt.Chunk) > r.opt.Memory {
		from := &r.spent
		if from.Len() == 0 {
			from = &r.lru
		}
		if from.Len() == 0 {
			return
		}
		c := from.Remove(from.Back()).(*chunk)
		if c.ahead {
			r.unread--
		}
		delete(r.chunks, c.index)
		c.gone = true
		r.reuse(c)
	}
}

// release ends a read's hold of chunks.
func (r *Reader) release(chunks []*chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range chunks {
		c.users--
		r.reuse(c)
	}
}

// reuse keeps the bytes of a chunk that was dropped and that no read holds: to allocate
// each chunk anew would make as much garbage as there are bytes in the source.
func (r *Reader) reuse(c *chunk) {
	if c.gone && c.users == 0 && c.data != nil && int64(len(r.idle)+1)*int64(r.opt.Chunk) <= r.opt.Memory {
		r.idle = append(r.idle, c.data[:cap(c.data)])
		c.data = nil
	}
}

// buffer returns the room of one chunk.
func (r *Reader) buffer() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := len(r.idle) - 1; last >= 0 {
		b := r.idle[last]
		r.idle[last], r.idle = nil, r.idle[:last]
		return b
	}
	return make([]byte, min(int64(r.opt.Chunk), r.size))
}
