package pipeline

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/readahead"
	"ingest/sources"
)

// The limits of what a dry run reads.
const (
	// ForecastBytes and ForecastRequests bound what is read of a source that is
	// not a file of this host: its owner, and whoever pays for the line, should
	// not notice a dry run.
	ForecastBytes    = 32 << 20
	ForecastRequests = 256
	// ForecastLocalBytes bounds what is read of local files.
	ForecastLocalBytes = 256 << 20
	// ForecastTime bounds the whole: somebody waits for the answer. What is not
	// known by then is told as not known.
	ForecastTime = 30 * time.Second
	// ForecastUnpacked is how much of what is within a compression is looked at,
	// and of a source that can only be read forward. It is held in memory.
	ForecastUnpacked = 8 << 20
	// forecastChunk is what a request to a distant source asks for at least: the
	// tables of an image lie close together.
	forecastChunk = 128 << 10
)

// errSpent ends reads beyond a budget.
var errSpent = errors.New("the dry run reads no more")

// A budget is what a dry run may read. Each phase may use it up to a share, so
// that one that reads much leaves something to the next.
type budget struct {
	maxBytes, maxRequests int64 // requests: 0 for any number
	until                 time.Time

	mu              sync.Mutex
	bytes, requests int64
	waited          time.Duration
	share           int64 // percent that may be used up in this phase
	over            bool  // a read of this phase was turned down
}

// phase begins a phase, which may use up to share percent of the whole.
func (b *budget) phase(share int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share, b.over = share, false
}

// spent reports whether a read of this phase was turned down: what it has found
// is then no verdict on the image.
func (b *budget) spent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// left is how many bytes this phase may still read.
func (b *budget) left() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.maxBytes*b.share/100-b.bytes, 0)
}

// take asks for one request of n bytes.
func (b *budget) take(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+int64(n) > b.maxBytes*b.share/100 || time.Now().After(b.until) ||
		b.maxRequests > 0 && b.requests >= b.maxRequests*b.share/100 {
		b.over = true
		return errSpent
	}
	// Counted before it is made: requests may run side by side.
	b.bytes += int64(n)
	b.requests++
	return nil
}

// ask counts a request for one byte that is made in any case.
func (b *budget) ask() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes++
	b.requests++
}

// waiting adds to the time that was spent on waiting for a source.
func (b *budget) waiting(began time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waited += time.Since(began)
}

// least is how much must have been read, and for how long, for a rate to be told.
const (
	leastRateBytes = 1 << 20
	leastRateTime  = 50 * time.Millisecond
)

// read tells what has been read.
func (b *budget) read() contract.ForecastRead {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := contract.ForecastRead{Bytes: b.bytes, Requests: b.requests, Seconds: b.waited.Seconds(),
		MaxBytes: b.maxBytes, MaxRequests: b.maxRequests, BytesPerSec: contract.Unknown}
	if b.bytes >= leastRateBytes && b.waited >= leastRateTime {
		out.BytesPerSec = float64(b.bytes) / b.waited.Seconds()
	}
	return out
}

// A thrifty source is read within a budget.
type thrifty struct {
	sources.Source
	b *budget
	r io.ReaderAt // nil until it is asked for
}

// Unwrap returns the source that is read within the budget.
func (s *thrifty) Unwrap() sources.Source { return s.Source }

// ReaderAt returns the one reader of the source, which keeps what it has read of
// a distant one.
func (s *thrifty) ReaderAt(ctx context.Context) (io.ReaderAt, error) {
	if s.r != nil {
		return s.r, nil
	}
	r, err := s.Source.ReaderAt(sources.WithDirect(ctx))
	if err != nil {
		return nil, err
	}
	counted := thriftyReader{r, s.b}
	if pin := s.Pin(); !pin.Local {
		fetch := func(_ context.Context, p []byte, off int64) error {
			n, err := counted.ReadAt(p, off)
			if n == len(p) {
				return nil
			}
			return err
		}
		s.r = readahead.New(ctx, fetch, pin.Size, readahead.Options{Chunk: forecastChunk, Memory: ForecastBytes, Ahead: -1})
	} else if f, ok := r.(formats.DataFinder); ok {
		s.r = thriftyFinder{counted, f}
	} else {
		s.r = counted
	}
	return s.r, nil
}

// Stream reads forward within the budget.
func (s *thrifty) Stream(ctx context.Context, off int64) (io.ReadCloser, error) {
	if err := s.b.take(0); err != nil {
		return nil, err
	}
	defer s.b.waiting(time.Now())
	body, err := s.Source.Stream(ctx, off)
	if err != nil {
		return nil, err
	}
	return &thriftyStream{body, s.b}, nil
}

// Check asks whether the source is still the pinned version.
func (s *thrifty) Check(ctx context.Context) error {
	c, ok := s.Source.(checker)
	if !ok {
		return nil
	}
	if pin := s.Pin(); !pin.Strong && !pin.Local {
		// One more request. It is made however little is left: without it nothing
		// that was read counts.
		s.b.ask()
		defer s.b.waiting(time.Now())
	}
	return c.Check(ctx)
}

type thriftyReader struct {
	r io.ReaderAt
	b *budget
}

func (r thriftyReader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.b.take(len(p)); err != nil {
		return 0, err
	}
	defer r.b.waiting(time.Now())
	return r.r.ReadAt(p, off)
}

type thriftyFinder struct {
	thriftyReader
	formats.DataFinder
}

type thriftyStream struct {
	io.ReadCloser
	b *budget
}

// Read reads on. A body has one request, whatever number of reads it takes.
func (s *thriftyStream) Read(p []byte) (int, error) {
	if len(p) > forecastChunk {
		p = p[:forecastChunk]
	}
	if err := s.b.take(len(p)); err != nil {
		return 0, err
	}
	began := time.Now()
	n, err := s.ReadCloser.Read(p)
	s.b.waiting(began)
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.bytes -= int64(len(p) - n)
	s.b.requests--
	return n, err
}
