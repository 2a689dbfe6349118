package s3

import (
	"context"
	"sync"

	"ingest/internal/errcode"
)

// parts is what one handle holds of its upload's bytes.
type parts struct {
	u   *upload
	lay layout
	gen int64         // the handle's
	sem chan struct{} // one slot for each part that is being sent

	mu      sync.Mutex
	cond    *sync.Cond       // something became free, whole or wrong
	open    map[int]*part    // begun and not whole
	sending map[int]*part    // whole, on their way
	sent    map[int]sentPart // the service has them
	held    map[int]held     // stand below parts/
	used    int64            // bytes of buffers
	most    int64            // of used, so far
	free    [][]byte         // buffers to be used again
	fetched int              // parts that a seal has in memory to send them
	clock   int64            // counts writes, for the least recently used
	err     error            // the first failure; the handle is of no use behind it
}

// A part is begun.
type part struct {
	n          int
	start, end int64
	buf        []byte // end-start bytes, nil as long as there are only zeros
	known      runs   // what was written, and what is known to be zeros
	fresh      runs   // what of it does not stand below parts/
	dirty      bool   // buf has what does not stand below parts/
	busy       bool   // being put below parts/, or fetched from there
	used       int64
}

// sentPart is what completing the upload needs of a part.
type sentPart struct {
	etag     string
	checksum string
	size     int64
}

func newParts(u *upload, lay layout) *parts {
	p := &parts{u: u, lay: lay, gen: u.m.Generation, sem: make(chan struct{}, u.s.o.Parallel),
		open: map[int]*part{}, sending: map[int]*part{}, sent: map[int]sentPart{}, held: map[int]held{}}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// write takes bytes into their parts, and sends those that are whole.
func (p *parts) write(b []byte, off int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	for done < len(b) {
		at := off + int64(done)
		pt, end, err := p.take(at, true)
		if err != nil {
			return done, err
		}
		n := int(min(int64(len(b)-done), end-at))
		if pt != nil {
			copy(pt.buf[at-pt.start:], b[done:done+n])
			pt.dirty = true
			p.note(pt, at, at+int64(n))
		}
		done += n
	}
	return done, nil
}

// zeros notes zeros.
func (p *parts) zeros(off, n int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n > 0 {
		pt, end, err := p.take(off, false)
		if err != nil {
			return err
		}
		k := min(n, end-off)
		if pt != nil {
			p.note(pt, off, off+k)
		}
		off, n = off+k, n-k
	}
	return nil
}

// take returns the part of an offset, nil if the service has it, and where the
// part ends. With data, its buffer is there. The caller holds the lock, which is
// let go of while the part is waited for.
func (p *parts) take(off int64, data bool) (*part, int64, error) {
	n, start, end, err := p.lay.at(off)
	if err != nil {
		return nil, 0, err
	}
	for {
		if p.err != nil {
			return nil, 0, p.err
		}
		if _, ok := p.sent[n]; ok || p.sending[n] != nil {
			return nil, end, nil
		}
		pt := p.open[n]
		if pt == nil {
			pt = &part{n: n, start: start, end: end}
			p.open[n] = pt
		}
		_, held := p.held[n]
		switch {
		case pt.busy:
			p.cond.Wait()
		case pt.buf == nil && (data || held):
			if err := p.fill(pt, held); err != nil {
				return nil, 0, err
			}
		default:
			p.clock++
			pt.used = p.clock
			return pt, end, nil
		}
	}
}

// fill gives a part its buffer, with what stands below parts/. The caller holds
// the lock, and looks again at everything.
func (p *parts) fill(pt *part, held bool) error {
	pt.busy = true
	defer func() { pt.busy = false; p.cond.Broadcast() }()
	if err := p.reserve(pt.end - pt.start); err != nil {
		return err
	}
	if !held {
		pt.buf = p.bufferLocked(pt.end - pt.start)
		return nil
	}
	at := p.held[pt.n]
	buf := p.bufferLocked(pt.end - pt.start)
	p.mu.Unlock()
	known, err := p.u.s.fetchHeld(p.u.life, p.u.id, pt, at, buf)
	p.mu.Lock()
	if err != nil {
		p.used -= pt.end - pt.start
		return p.fail(err)
	}
	pt.buf = buf
	for _, r := range known {
		pt.known = pt.known.add(r.Off, r.End)
	}
	return nil
}

// reserve waits until there is memory for a buffer. Parts that were begun are put
// away, the least recently used first, when they hold more than half of it;
// else those that are being sent are waited for.
func (p *parts) reserve(size int64) error {
	limit := max(p.u.s.o.Memory, 2*size)
	for p.used+size > limit {
		if p.err != nil {
			return p.err
		}
		victim, begun := p.victim()
		if victim == nil || (begun <= limit/2 && len(p.sending) > 0) {
			p.cond.Wait()
			continue
		}
		if err := p.putAway(victim); err != nil {
			return err
		}
		if victim.dirty {
			continue
		}
		delete(p.open, victim.n)
		p.used -= int64(len(victim.buf))
		p.giveBackLocked(victim.buf)
		victim.buf = nil
	}
	p.used += size
	p.most = max(p.most, p.used)
	return nil
}

// victim returns the least recently used part that could be put away, and the
// bytes of all that are begun.
func (p *parts) victim() (v *part, begun int64) {
	for _, pt := range p.open {
		begun += int64(len(pt.buf))
		if pt.buf != nil && !pt.busy && (v == nil || pt.used < v.used) {
			v = pt
		}
	}
	return v, begun
}

// putAway makes a part stand below parts/ as it is. The caller holds the lock,
// which is let go of meanwhile; nobody writes to the part.
func (p *parts) putAway(pt *part) error {
	if !pt.dirty {
		return nil
	}
	pt.busy = true
	have := *pt // its buffer is let go of by stop
	h, what := p.nextPiece(pt)
	p.mu.Unlock()
	var err error
	for _, piece := range what.cut(pieceBytes) {
		if err = p.u.s.keepHeld(p.u.life, &have, piece, p.u.s.heldName(p.u.id, h.Part, h.Generation, h.First+h.Pieces)); err != nil {
			break
		}
		h.Pieces++
	}
	p.mu.Lock()
	pt.busy = false
	p.cond.Broadcast()
	if err != nil {
		return p.fail(err)
	}
	pt.dirty, pt.fresh = false, nil
	p.held[pt.n] = h
	return nil
}

const (
	// pieceBytes is the most that one piece of a part has: it is copied to be sent.
	pieceBytes = 16 << 20
	// mostPieces is how many there are of a part before it is put away anew, as a
	// whole: each is a request when they are read back.
	mostPieces = 64
)

// nextPiece returns what stands below parts/ of a part, and what is to be put behind
// it: all of the part if that is of another handle, whose pieces are not gone on with.
// No piece is ever written over, because the manifest may still count on it.
func (p *parts) nextPiece(pt *part) (held, runs) {
	h, ok := p.held[pt.n]
	switch {
	case !ok || h.Generation != p.gen:
		return held{Part: pt.n, Generation: p.gen}, pt.known
	case h.Pieces >= mostPieces:
		return held{Part: pt.n, Generation: p.gen, First: h.First + h.Pieces}, pt.known
	}
	return h, pt.fresh
}

// note adds to what is known of a part, and sends it if that is all of it. Parts
// of zeros alone wait for the seal: what follows may show that they are behind
// the end.
func (p *parts) note(pt *part, off, end int64) {
	pt.known, pt.fresh = pt.known.add(off, end), pt.fresh.add(off, end)
	if pt.buf == nil || !pt.known.whole(pt.start, pt.end) {
		return
	}
	delete(p.open, pt.n)
	p.sending[pt.n] = pt
	go p.send(pt, pt.buf)
}

// send sends a part and lets go of its memory.
func (p *parts) send(pt *part, b []byte) {
	p.sem <- struct{}{}
	out, err := p.u.sendPart(p.u.life, pt.n, newBuffered(b), int64(len(b)))
	<-p.sem
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sending, pt.n)
	p.used -= int64(len(pt.buf))
	pt.buf = nil
	if err != nil {
		_ = p.fail(err)
		return
	}
	p.giveBackLocked(b)
	p.sent[pt.n] = out
	p.cond.Broadcast()
}

// fail keeps the first failure.
func (p *parts) fail(err error) error {
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
	return p.err
}

// stop makes every later use fail with why.
func (p *parts) stop(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = why
	for _, pt := range p.open {
		pt.buf = nil
	}
	p.free = nil
	p.cond.Broadcast()
}

// save makes durable what was written before the call, and says where what is
// not sent stands. What stands below parts/ of parts that were sent since is spent: it
// can go when the manifest no longer tells of it.
func (p *parts) save(ctx context.Context) (out, spent []held, bytes int64, err error) {
	stop := context.AfterFunc(ctx, func() { p.mu.Lock(); p.cond.Broadcast(); p.mu.Unlock() })
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	var wait []int
	for n := range p.sending {
		wait = append(wait, n)
	}
	for n, pt := range p.open {
		if pt.dirty || pt.busy {
			wait = append(wait, n)
		}
	}
	for _, n := range wait {
		if err := p.settle(ctx, n); err != nil {
			return nil, nil, 0, err
		}
	}
	for n, h := range p.held {
		if _, ok := p.sent[n]; ok {
			spent = append(spent, h)
			delete(p.held, n)
			continue
		}
		out = append(out, h)
		if pt := p.open[n]; pt != nil {
			bytes += pt.known.bytes()
		}
	}
	for _, s := range p.sent {
		bytes += s.size
	}
	return out, spent, bytes, p.err
}

// settle waits until a part is sent or stands below parts/ as it was.
func (p *parts) settle(ctx context.Context, n int) error {
	for {
		switch pt := p.open[n]; {
		case p.err != nil:
			return p.err
		case ctx.Err() != nil:
			return ctx.Err()
		case p.sending[n] != nil || (pt != nil && pt.busy):
			p.cond.Wait()
		case pt != nil && pt.dirty:
			return p.putAway(pt)
		default:
			return nil
		}
	}
}

// idle waits until nothing is being sent.
func (p *parts) idle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.mu.Lock(); p.cond.Broadcast(); p.mu.Unlock() })
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.sending) > 0 && p.err == nil && ctx.Err() == nil {
		p.cond.Wait()
	}
	if p.err != nil {
		return p.err
	}
	return ctx.Err()
}

// errCut means that a seal would cut bytes that were sent.
func errCut(size int64) error {
	return errcode.New(errcode.Conflict, "the upload cannot end at %d bytes: the part there was sent whole", size)
}
