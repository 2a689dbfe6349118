package s3

import (
	"context"
	"io"
	"sync"

	"ingest/internal/errcode"
)

// Seal ends the writing at size bytes: what was not written is sent as zeros,
// and the service puts the parts together.
func (u *upload) Seal(ctx context.Context, size int64) error {
	u.op.Lock()
	defer u.op.Unlock()
	if err := u.usable(ctx); err != nil {
		return err
	}
	if size < 0 {
		return errcode.New(errcode.Internal, "seal at negative size %d", size)
	}
	if u.done == nil {
		// Asked first, because a handle that was overtaken must not end what its
		// successor goes on to write.
		if err := u.youngest(ctx); err != nil {
			return storeError(err, "seal upload %s", u.id)
		}
	}
	if have, ok := u.Sealed(); ok {
		if have != size {
			return errcode.New(errcode.Conflict, "the upload is sealed at %d bytes, not %d", have, size)
		}
		return nil
	}
	etag, err := u.seal(ctx, size)
	if err != nil {
		return storeError(err, "seal upload %s", u.id)
	}
	err = u.change(ctx, func(m *manifest) {
		m.State, m.Sealed, m.ETag, m.Bytes, m.Held = stateSealed, size, etag, size, nil
	})
	if err != nil {
		return storeError(err, "seal upload %s", u.id)
	}
	held := len(u.parts.held) > 0 // what else there may be goes with the commit
	u.parts.release()
	if !held {
		return nil
	}
	return storeError(u.s.clearParts(ctx, u.id), "seal upload %s", u.id)
}

// seal makes the bytes whole and returns their ETag.
func (u *upload) seal(ctx context.Context, size int64) (string, error) {
	p := u.parts
	if err := p.idle(ctx); err != nil {
		return "", err
	}
	if size <= p.lay.sizeOf(0) && u.m.Multipart == "" {
		body, err := p.rest(ctx, 0, size)
		if err != nil {
			return "", err
		}
		return u.putWhole(ctx, body, size)
	}
	count, err := u.sendRest(ctx, max(size, 1))
	if err != nil {
		p.forgetShort()
		return "", err
	}
	etag, err := u.complete(ctx, count, size)
	if err != nil {
		p.forgetShort()
	}
	return etag, err
}

// sendRest sends every part that the service does not have, and returns how many
// there are. First those that are in memory, which free it, and those of zeros,
// which take none; then those that stand below parts/, as many at once as the memory
// holds, but one.
func (u *upload) sendRest(ctx context.Context, size int64) (count int, err error) {
	p := u.parts
	last, _, _, err := p.lay.at(size - 1)
	if err != nil {
		return 0, err
	}
	var begun, away []int
	for n := range last + 1 {
		start, end := p.lay.bounds(n)
		sp, ok := p.sentAs(n)
		inMemory, held := p.where(n)
		switch {
		case ok && sp.size == min(end, size)-start:
		case ok && !inMemory && !held: // the service does not give it back before the end
			return 0, errCut(size)
		case held && !inMemory:
			away = append(away, n)
		default:
			begun = append(begun, n)
		}
	}
	for _, which := range [][]int{begun, away} {
		if err := u.sendAll(ctx, which, size); err != nil {
			return 0, err
		}
	}
	return last + 1, nil
}

// sendAll sends parts of an upload that ends at size.
func (u *upload) sendAll(ctx context.Context, which []int, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := u.parts
	var wg sync.WaitGroup
	for _, n := range which {
		start, end := p.lay.bounds(n)
		free, ok := p.slot(ctx, n, end-start)
		if !ok {
			break
		}
		wg.Go(func() {
			defer free()
			body, err := p.rest(ctx, n, min(end, size)-start)
			var sp sentPart
			if err == nil {
				sp, err = u.sendPart(ctx, n, body, min(end, size)-start)
			}
			if err != nil {
				cancel(err)
				return
			}
			p.setSent(n, sp)
			if b, ok := body.(*buffered); ok {
				p.giveBack(b.again)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// slot waits until a part may be sent, and until there is memory for it if it has to
// be fetched. free gives both back.
func (p *parts) slot(ctx context.Context, n int, size int64) (free func(), ok bool) {
	select {
	case p.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	free = func() { <-p.sem }
	if inMemory, held := p.where(n); inMemory || !held {
		return free, true
	}
	stop := context.AfterFunc(ctx, func() { p.mu.Lock(); p.cond.Broadcast(); p.mu.Unlock() })
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.fetched > 0 && p.used+size > p.u.s.o.Memory && ctx.Err() == nil {
		p.cond.Wait()
	}
	if ctx.Err() != nil {
		free()
		return nil, false
	}
	p.fetched++
	p.used += size
	p.most = max(p.most, p.used)
	return func() {
		<-p.sem
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fetched--
		p.used -= size
		p.cond.Broadcast()
	}, true
}

// where tells where the bytes of a part are that was not sent: neither means that it
// has none but zeros.
func (p *parts) where(n int) (inMemory, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, held = p.held[n]
	pt := p.open[n]
	return pt != nil && pt.buf != nil, held
}

// rest returns the first n bytes of a part that was not sent whole.
func (p *parts) rest(ctx context.Context, n int, size int64) (io.ReadSeeker, error) {
	p.mu.Lock()
	pt := p.open[n]
	at, held := p.held[n]
	p.mu.Unlock()
	if pt != nil && pt.buf != nil {
		return newBuffered(pt.buf[:size]), nil
	}
	if !held {
		return io.NewSectionReader(zeros{}, 0, size), nil
	}
	start, end := p.lay.bounds(n)
	buf := p.buffer(end - start)
	_, err := p.u.s.fetchHeld(ctx, p.u.id, &part{n: n, start: start, end: end}, at, buf)
	body := newBuffered(buf[:size])
	body.again = buf
	return body, err
}

// zeros are as many as are read.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (p *parts) sentAs(n int) (sentPart, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sp, ok := p.sent[n]
	return sp, ok
}

// setSent notes that the service has a part, and lets go of its memory if that was
// all of it.
func (p *parts) setSent(n int, sp sentPart) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[n] = sp
	if pt := p.open[n]; pt != nil && sp.size == p.lay.sizeOf(n) {
		delete(p.open, n)
		p.used -= int64(len(pt.buf))
		p.giveBackLocked(pt.buf)
		pt.buf = nil
	}
}

// forgetShort takes back that the last part was sent: the next seal may have another
// end.
func (p *parts) forgetShort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, sp := range p.sent {
		if sp.size < p.lay.sizeOf(n) {
			delete(p.sent, n)
		}
	}
}

// release gives the memory back of what is sealed.
func (p *parts) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.used, p.free = map[int]*part{}, 0, nil
}
