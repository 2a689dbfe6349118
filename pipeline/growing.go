package pipeline

import (
	"context"
	"io"
	"slices"
	"sync"

	"ingest/internal/fsutil"
)

// A growing file is a staged one whose bytes are still coming in. It is read while
// it is written: who asks for what is not there yet waits.
type growing struct {
	f    io.ReaderAt
	size int64 // that it will have, bytes

	mu    sync.Mutex
	moved *sync.Cond // something has come in, or a context has ended
	have  []span     // in order, apart from each other
}

// newGrowing returns a file of size bytes of which there is what the sidecar says.
func newGrowing(f io.ReaderAt, size int64, c sidecar) *growing {
	g := &growing{f: f, size: size}
	g.moved = sync.NewCond(&g.mu)
	g.add(span{0, c.Off})
	for _, r := range c.Ranges {
		g.add(r)
	}
	return g
}

// add says that a range has been written. A nil file does not care.
func (g *growing) add(one span) {
	if g == nil || one.From >= one.To {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.have = joined(g.have, one)
	g.moved.Broadcast()
}

// arrived is how many bytes there are.
func (g *growing) arrived() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := int64(0)
	for _, s := range g.have {
		n += s.To - s.From
	}
	return n
}

// holds reports whether a range is there. The lock is held.
func (g *growing) holds(want span) bool {
	i, found := slices.BinarySearchFunc(g.have, want.From, func(s span, from int64) int { return int(min(max(s.From-from, -1), 1)) })
	if !found {
		i--
	}
	return i >= 0 && want.To <= g.have[i].To
}

// wait waits until a range is there, or the context has ended.
func (g *growing) wait(ctx context.Context, want span) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds(want) {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.moved.Broadcast()
	})
	defer stop()
	for !g.holds(want) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g.moved.Wait()
	}
	return nil
}

// reader reads the file at random. The context ends all waiting. What is returned
// knows no holes: which zeros were sent, and which are none, is told at the end.
func (g *growing) reader(ctx context.Context) io.ReaderAt { return growingReader{ctx, g} }

type growingReader struct {
	ctx context.Context
	g   *growing
}

// ReadAt waits for the bytes that it is asked for.
func (r growingReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= r.g.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), r.g.size-off)
	if err := r.g.wait(r.ctx, span{off, off + n}); err != nil {
		return 0, err
	}
	k, err := r.g.f.ReadAt(p[:n], off)
	if err == nil && k < len(p) {
		err = io.EOF
	}
	return k, err
}

// tailBytes is what is fetched of a file's end before its middle, at least: where
// footers stand, and what they refer to.
const tailBytes = 1 << 20

// endFirst has the file's last bytes fetched before the others: what a file is, and
// where its tables are, may stand there alone.
func (b *ranged) endFirst(size int64) {
	from := max(0, size-tailBytes) / rangeBytes * rangeBytes
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, have := range b.done {
		if have.To > from {
			return // an earlier attempt had them
		}
	}
	if from > b.kept.Off {
		b.tail, b.tailNext = span{from, size}, from
	}
}

// hole reports whether nothing was ever written to a range of the file, which has its
// full length from the begin if its end came first.
func (b *ranged) hole(one span) bool {
	start, _, err := fsutil.NextData(b.f, one.From, one.To)
	return err == nil && start >= one.To
}

// bookTail returns the next range of the file's end, false if all is booked. The lock
// is held.
func (b *ranged) bookTail() (span, bool) {
	if b.tailNext >= b.tail.To || b.err != nil || b.over {
		return span{}, false
	}
	one := span{b.tailNext, min(b.tail.To, b.tailNext+rangeBytes)}
	b.tailNext = one.To
	return one, true
}

// joined adds a range to ordered ones and joins those that touch.
func joined(all []span, one span) []span {
	i, _ := slices.BinarySearchFunc(all, one.From, func(s span, from int64) int { return int(min(max(s.From-from, -1), 1)) })
	all = slices.Insert(all, i, one)
	out := all[:1]
	for _, s := range all[1:] {
		if last := &out[len(out)-1]; s.From <= last.To {
			last.To = max(last.To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}
