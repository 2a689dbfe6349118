package pipeline

import (
	"context"
	"errors"
	"io"
	"sync"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/stores"
)

// What is read ahead of a store whose every read is a request: chunks large enough
// to be worth one, and as many at a time as hide what a request takes.
const (
	storedChunk  = 2 << 20
	storedAhead  = 8
	storedMemory = 24 << 20
)

// A storedReader reads an object of which there are several copies. It goes to the
// next one when a read fails, and stays there.
type storedReader struct {
	ctx  context.Context
	p    *Pipeline
	from []contract.Stored
	size int64
	held int64 // bytes that the first place takes, -1 if it cannot tell

	mu     sync.Mutex
	at     int           // the place that is read
	object stores.Object // of the place, nil if it has to be asked for ranges
	tried  error         // what the places before have failed with
	opened []stores.Object
}

// openStored opens the first of the places that answers.
func (p *Pipeline) openStored(ctx context.Context, from []contract.Stored, size int64) (*storedReader, error) {
	r := &storedReader{ctx: ctx, p: p, from: from, size: size, at: -1}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r, r.next(nil)
}

// next goes to the next place that answers. The caller holds the lock.
func (r *storedReader) next(why error) error {
	r.tried = errors.Join(r.tried, why)
	for r.at++; r.at < len(r.from); r.at++ {
		err := r.open(r.from[r.at])
		if err == nil {
			return nil
		}
		r.tried = errors.Join(r.tried, err)
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
	}
	return r.tried
}

func (r *storedReader) open(at contract.Stored) error {
	store, err := r.p.store(at.Store)
	if err != nil {
		return err
	}
	info, err := store.Stat(r.ctx, at.Key)
	if err != nil {
		return err
	}
	if info.Size != r.size {
		return errcode.New(errcode.VerifyMismatch, "the object in store %s has %d bytes, the image has %d", at.Store, info.Size, r.size)
	}
	r.object, r.held = nil, info.Allocated
	if o, ok := store.(stores.Opener); ok {
		if r.object, err = o.Open(r.ctx, at.Key); err != nil {
			return err
		}
		r.opened = append(r.opened, r.object)
	}
	return nil
}

// room is what a copy takes at most, bytes: holes stay holes.
func (r *storedReader) room() int64 {
	if r.held < 0 || r.held > r.size {
		return r.size
	}
	// Data is copied in whole units, of which holes may have been a part.
	return min(r.size, 2*r.held+transfer.UnitBytes)
}

// Close closes what was opened.
func (r *storedReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, o := range r.opened {
		errs = append(errs, o.Close())
	}
	r.opened = nil
	return errors.Join(errs...)
}

// readerAt is the reader as it is best read: ahead, if each read is a request; with
// its holes, if they are known.
func (r *storedReader) readerAt() io.ReaderAt {
	if r.object == nil {
		return readahead.New(r.ctx, r.fetch, r.size, readahead.Options{Chunk: storedChunk, Memory: storedMemory, Ahead: storedAhead})
	}
	if _, ok := r.object.(formats.DataFinder); ok {
		return holesKnown{r}
	}
	return r
}

// fetch is ReadAt for readahead.
func (r *storedReader) fetch(_ context.Context, p []byte, off int64) error {
	_, err := r.ReadAt(p, off)
	return err
}

// ReadAt reads from the place that answers; the next one takes its part over.
func (r *storedReader) ReadAt(p []byte, off int64) (int, error) {
	for {
		r.mu.Lock()
		at, object := r.at, r.object
		r.mu.Unlock()
		if at >= len(r.from) {
			return 0, r.tried
		}
		n, err := r.read(at, object, p, off)
		if err == nil || r.ctx.Err() != nil {
			return n, err
		}
		r.mu.Lock()
		if r.at == at { // else another reader has gone on already
			err = r.next(err)
		} else {
			err = nil
		}
		r.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
}

func (r *storedReader) read(at int, object stores.Object, p []byte, off int64) (int, error) {
	if object != nil {
		n, err := object.ReadAt(p, off)
		if n == len(p) {
			err = nil
		}
		return n, err
	}
	store, err := r.p.store(r.from[at].Store)
	if err != nil {
		return 0, err
	}
	rc, err := store.OpenRange(r.ctx, r.from[at].Key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(rc, p)
	return n, errors.Join(err, rc.Close())
}

// holesKnown is a storedReader whose first place knows the holes. Another place
// holds the same bytes, so that they are holes there too, or zeros.
type holesKnown struct{ *storedReader }

// NextData returns the first run of data at or after off. A place that fails is
// taken to be data to the end: the read finds out.
func (h holesKnown) NextData(off int64) (start, end int64, err error) {
	h.mu.Lock()
	object := h.object
	h.mu.Unlock()
	if f, ok := object.(formats.DataFinder); ok {
		if start, end, err := f.NextData(off); err == nil {
			return start, end, nil
		}
	}
	if off >= h.size {
		return h.size, h.size, nil
	}
	return off, h.size, nil
}
