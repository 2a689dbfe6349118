package pipeline

import (
	"io"
	"strconv"
	"sync"
	"time"

	"ingest/formats"
)

// A pulse shows that a step lives while its figure stands still: when tables
// are read that are spread over a distant file, or written. It does so by a hint
// that nobody takes up, once a second.
type pulse struct {
	o Observe

	mu          sync.Mutex
	done, total int64 // as last told
	bytes       int64 // read from the source
	told        time.Time
}

// pulseEvery is the time between two signs of life.
const pulseEvery = time.Second

func newPulse(o Observe) *pulse {
	if o == nil {
		o = ignore
	}
	return &pulse{o: o, total: -1, told: time.Now()}
}

// observe is the Observe of the step.
func (p *pulse) observe(done, total int64, hint []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total, p.told = done, total, time.Now()
	p.o(done, total, hint)
}

// read is told of n bytes that were read.
func (p *pulse) read(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += int64(n)
	if n > 0 && time.Since(p.told) >= pulseEvery {
		p.told = time.Now()
		p.o(p.done, p.total, sign("read", p.bytes))
	}
}

// sign is a hint that only shows that something moves.
func sign(what string, n int64) []byte {
	return []byte(`{"` + what + `":` + strconv.FormatInt(n, 10) + `}`)
}

// watch returns r, which tells read of all bytes that are read. If r knows its
// holes, so does what is returned.
func watch(r io.ReaderAt, read func(n int)) io.ReaderAt {
	w := watched{r, read}
	if f, ok := r.(formats.DataFinder); ok {
		return watchedFinder{w, f}
	}
	return w
}

// watching returns what puts watch around a reader.
func watching(read func(n int)) func(io.ReaderAt) io.ReaderAt {
	return func(r io.ReaderAt) io.ReaderAt { return watch(r, read) }
}

type watched struct {
	r    io.ReaderAt
	read func(n int)
}

func (w watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(p, off)
	w.read(n)
	return n, err
}

type watchedFinder struct {
	watched
	formats.DataFinder
}
