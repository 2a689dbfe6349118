package s3

import (
	"context"
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
	u.parts.release()
	return storeError(u.s.clearParts(ctx, u.id), "seal upload %s", u.id)
}

// seal makes the bytes whole and returns their ETag.
func (u *upload) seal(ctx context.Context, size int64) (string, error) {
	p := u.parts
	if err := p.idle(ctx); err != nil {
		return "", err
	}
	if size <= p.lay.sizeOf(0) && u.m.Multipart == "" {
		b, err := p.rest(ctx, 0, size)
		if err != nil {
			return "", err
		}
		return u.putWhole(ctx, b)
	}
	count, err := u.sendRest(ctx, max(size, 1))
	if err != nil {
		return "", err
	}
	return u.complete(ctx, count, size)
}

// sendRest sends every part that the service does not have, and returns how many
// there are. As many are in memory as are sent at once, beside those that were
// begun.
func (u *upload) sendRest(ctx context.Context, size int64) (count int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := u.parts
	last, _, _, err := p.lay.at(size - 1)
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	for n := 0; n <= last; n++ {
		start, end := p.lay.bounds(n)
		end = min(end, size)
		if sp, ok := p.sentAs(n); ok && sp.size == end-start {
			continue
		} else if ok && p.lost(n) {
			cancel(errCut(size))
			break
		}
		taken := false
		select {
		case p.sem <- struct{}{}:
			taken = true
		case <-ctx.Done():
		}
		if !taken {
			break
		}
		wg.Go(func() {
			defer func() { <-p.sem }()
			b, err := p.rest(ctx, n, end-start)
			var sp sentPart
			if err == nil {
				sp, err = u.sendPart(ctx, n, b)
			}
			if err != nil {
				cancel(err)
				return
			}
			p.setSent(n, sp)
		})
	}
	wg.Wait()
	return last + 1, context.Cause(ctx)
}

// rest returns the first n bytes of a part that was not sent whole.
func (p *parts) rest(ctx context.Context, n int, size int64) ([]byte, error) {
	p.mu.Lock()
	pt := p.open[n]
	gen, held := p.held[n]
	p.mu.Unlock()
	if pt != nil && pt.buf != nil {
		return pt.buf[:size], nil
	}
	start, end := p.lay.bounds(n)
	if !held {
		return make([]byte, size), nil
	}
	buf := make([]byte, end-start)
	_, err := p.u.s.fetchHeld(ctx, p.u.id, &part{n: n, start: start, end: end}, gen, buf)
	return buf[:size], err
}

func (p *parts) sentAs(n int) (sentPart, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sp, ok := p.sent[n]
	return sp, ok
}

// lost reports whether the bytes of a part are with the service alone, which
// does not give them back before the end.
func (p *parts) lost(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, held := p.held[n]
	pt := p.open[n]
	return !held && (pt == nil || pt.buf == nil)
}

func (p *parts) setSent(n int, sp sentPart) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[n] = sp
}

// release gives the memory back of what is sealed.
func (p *parts) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.used = map[int]*part{}, 0
}
