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
	DefaultChunk  = 1 << 20
	DefaultMemory = 32 << 20
	DefaultAhead  = 4
	// DefaultMostAhead is what 100 ms of latency take to keep 200 MB/s busy.
	DefaultMostAhead = 24
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
	flying int       // chunks being fetched
	ahead  int       // chunks being fetched ahead
	depth  int       // chunks that may be fetched ahead
	runs   []run     // the last seen in front
}

var _ io.ReaderAt = (*Reader)(nil)

// chunk is one piece of the source, being fetched or kept.
type chunk struct {
	index int64
	ready chan struct{} // closed when data and err are set
	data  []byte
	err   error
	elem  *list.Element // nil while it is fetched
}

// run is a sequence of reads that follow each other.
type run struct {
	end  int64 // where the last read ended
	hits int   // reads that followed
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
	hits := -1 // not noted yet
	if len(p) > r.opt.Chunk {
		if hits = r.noted(off, off+int64(len(p))); hits == 0 || r.opt.Ahead < 0 || 4*int64(len(p)) > r.opt.Memory {
			if err := r.fetch(r.ctx, p, off); err != nil {
				return 0, err
			}
			return len(p), nil
		}
		r.spread(off, off+int64(len(p)), hits)
	}
	size := int64(r.opt.Chunk)
	done := 0
	for done < len(p) {
		at := off + int64(done)
		c := r.demand(at/size, off, off+int64(len(p)), hits)
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
		done += copy(p[done:], c.data[at%size:])
	}
	return done, nil
}

// noted is follow for a read that is larger than a chunk.
func (r *Reader) noted(off, end int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follow(off, end)
}

// spread begins the fetches of all chunks of a large read, and of some behind it.
func (r *Reader) spread(off, end int64, hits int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := (end - 1) / int64(r.opt.Chunk)
	for index := off / int64(r.opt.Chunk); index <= last; index++ {
		if r.chunks[index] == nil {
			r.start(index, false)
		}
	}
	// Each read of the run counts as many chunks as it has.
	r.readAhead(last, hits*int(last-off/int64(r.opt.Chunk)+1))
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

// demand returns the chunk, fetched or being fetched, for a read of [off, end),
// and fetches ahead if the read follows another. hits is how many reads have led up
// to it, -1 if that has not been noted.
func (r *Reader) demand(index, off, end int64, hits int) *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.chunks[index]
	if c == nil {
		c = r.start(index, false)
	} else if c.elem != nil {
		r.lru.MoveToFront(c.elem)
	}
	if hits < 0 && index == (end-1)/int64(r.opt.Chunk) { // once for each read
		r.readAhead(index, r.follow(off, end))
	}
	return c
}

// follow notes a read of [off, end) and returns how many reads have led up to
// it without a gap.
func (r *Reader) follow(off, end int64) int {
	for i, have := range r.runs {
		if have.end == off {
			copy(r.runs[1:i+1], r.runs[:i])
			r.runs[0] = run{end: end, hits: have.hits + 1}
			return r.runs[0].hits
		}
	}
	if len(r.runs) < maxRuns {
		r.runs = append(r.runs, run{})
	}
	copy(r.runs[1:], r.runs)
	r.runs[0] = run{end: end}
	return 0
}

// readAhead fetches chunks behind index beside the read, more of them the
// longer the run is.
func (r *Reader) readAhead(index int64, hits int) {
	last := (r.size - 1) / int64(r.opt.Chunk)
	if hits > 0 {
		r.pass(index)
	}
	for next := index + 1; next <= index+int64(min(hits, r.depth)) && next <= last; next++ {
		if r.chunks[next] != nil {
			continue
		}
		// Room for the chunk that is being read stays, or it would be fetched again.
		if r.ahead >= r.depth || int64(r.flying+2)*int64(r.opt.Chunk) > r.opt.Memory {
			return
		}
		r.start(next, true)
	}
}

// pass makes the chunks that a sequence has left behind the first to be dropped:
// those ahead were used less lately, and are wanted next.
func (r *Reader) pass(index int64) {
	for i := index - 1; i >= index-8; i-- {
		if c := r.chunks[i]; c != nil && c.elem != nil {
			r.lru.MoveToBack(c.elem)
		}
	}
}

// start begins the fetch of a chunk.
func (r *Reader) start(index int64, ahead bool) *chunk {
	c := &chunk{index: index, ready: make(chan struct{})}
	r.chunks[index] = c
	r.flying++
	if ahead {
		r.ahead++
	}
	r.evict()
	go func() {
		off := index * int64(r.opt.Chunk)
		data := make([]byte, min(int64(r.opt.Chunk), r.size-off))
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
		c.elem = r.lru.PushFront(c)
		r.evict()
	}()
	return c
}

// evict drops the chunks that were used the longest ago until the rest fits.
// Those being fetched count and stay. A read that holds a dropped one keeps it.
func (r *Reader) evict() {
	for int64(r.flying+r.lru.Len())*int64(r.opt.Chunk) > r.opt.Memory && r.lru.Len() > 0 {
		c := r.lru.Remove(r.lru.Back()).(*chunk)
		delete(r.chunks, c.index)
	}
}
