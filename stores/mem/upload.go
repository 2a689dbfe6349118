package mem

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

// pageSize is the unit in which bytes exist.
const pageSize = 64 << 10

type page [pageSize]byte

// body is one upload, and later the object, whatever handles there are on it.
// Store.mu guards it; once committed it does not change.
type body struct {
	s         *Store
	id        string
	key       string
	pages     map[int64]*page
	size      int64 // sealed size, -1 while it is written
	gen       int64
	note      []byte
	touched   time.Time
	aborted   bool
	committed *stores.ObjectInfo
}

// allocated returns the bytes that the pages take.
func (b *body) allocated() int64 { return int64(len(b.pages)) * pageSize }

// upload is one handle on a body.
type upload struct {
	b      *body
	gen    int64
	closed bool
}

var _ stores.Upload = (*upload)(nil)

// usable reports why the handle cannot do anything, nil if it can.
func (u *upload) usable() error {
	switch {
	case u.closed:
		return errcode.Wrap(os.ErrClosed, errcode.Internal, "the upload is closed")
	case u.b.aborted && u.b.gen == u.gen:
		return errcode.New(errcode.UploadUnknown, "upload %s was aborted", u.b.id)
	}
	return nil
}

// change begins a change of the upload: it takes the store's lock, which the
// caller releases, and checks that the handle is the youngest.
func (u *upload) change(ctx context.Context) error {
	u.b.s.mu.Lock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := u.usable(); err != nil {
		return err
	}
	if u.gen != u.b.gen {
		return stores.Fenced(u.b.id)
	}
	u.b.touched = time.Now()
	return nil
}

// WriteAt writes p into its pages.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	b := u.b
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if err := u.usable(); err != nil {
		return 0, err
	}
	if b.aborted {
		return 0, errcode.New(errcode.UploadFenced, "another attempt has aborted upload %s", b.id)
	}
	if b.size >= 0 {
		return 0, errcode.New(errcode.Conflict, "the upload is sealed and takes no more bytes")
	}
	if off < 0 || off+int64(len(p)) < off {
		return 0, errcode.New(errcode.Internal, "write of %d bytes at offset %d", len(p), off)
	}
	b.touched = time.Now()
	done := 0
	for done < len(p) {
		at := off + int64(done)
		pg := b.pages[at/pageSize]
		if pg == nil {
			if b.s.capacity-b.s.used < pageSize {
				return done, errcode.New(errcode.NoSpace, "the store is full")
			}
			b.s.used += pageSize
			pg = new(page)
			b.pages[at/pageSize] = pg
		}
		done += copy(pg[at%pageSize:], p[done:])
	}
	return done, nil
}

// ID names the upload for Resume.
func (u *upload) ID() string { return u.b.id }

// Checkpoint keeps the note.
func (u *upload) Checkpoint(ctx context.Context, note []byte) error {
	defer u.b.s.mu.Unlock()
	if err := u.change(ctx); err != nil {
		return err
	}
	if u.b.committed != nil {
		return errcode.New(errcode.Conflict, "upload %s is committed", u.b.id)
	}
	u.b.note = append([]byte(nil), note...)
	return nil
}

// Note returns the last note.
func (u *upload) Note() []byte {
	u.b.s.mu.RLock()
	defer u.b.s.mu.RUnlock()
	return u.b.note
}

// Seal ends the writing at size bytes.
func (u *upload) Seal(ctx context.Context, size int64) error {
	b := u.b
	defer b.s.mu.Unlock()
	if err := u.change(ctx); err != nil {
		return err
	}
	switch {
	case size < 0:
		return errcode.New(errcode.Internal, "seal at negative size %d", size)
	case b.size >= 0 && b.size != size:
		return errcode.New(errcode.Conflict, "the upload is sealed at %d bytes, not %d", b.size, size)
	case b.size == size:
		return nil
	}
	for i := range b.pages {
		if i*pageSize >= size {
			delete(b.pages, i)
			b.s.used -= pageSize
		}
	}
	b.size = size
	return nil
}

// Sealed returns the sealed size.
func (u *upload) Sealed() (int64, bool) {
	u.b.s.mu.RLock()
	defer u.b.s.mu.RUnlock()
	return max(u.b.size, 0), u.b.size >= 0
}

// ReaderAt reads the sealed bytes and knows their holes.
func (u *upload) ReaderAt() (io.ReaderAt, error) {
	u.b.s.mu.RLock()
	defer u.b.s.mu.RUnlock()
	if err := u.usable(); err != nil {
		return nil, err
	}
	if u.b.size < 0 {
		return nil, errcode.New(errcode.Conflict, "the upload is not sealed yet")
	}
	return &reader{u.b}, nil
}

// Commit makes the sealed bytes visible.
func (u *upload) Commit(ctx context.Context, want stores.Digest) error {
	b := u.b
	defer b.s.mu.Unlock()
	if err := u.change(ctx); err != nil {
		return err
	}
	if err := stores.MayCommit(b.id, b.size, b.size >= 0, want); err != nil {
		return err
	}
	taken := b.s.objects[b.key]
	switch {
	case b.committed != nil && b.committed.Digest != want:
		return errcode.New(errcode.Conflict, "upload %s is committed with another digest", b.id)
	case b.committed != nil:
		return nil
	case taken != nil:
		return errcode.New(errcode.Conflict, "there is an object %s from another upload", b.key)
	}
	b.committed = &stores.ObjectInfo{Key: b.key, Size: b.size, Allocated: b.allocated(), Digest: want, Committed: time.Now().UTC()}
	b.s.objects[b.key] = b
	return nil
}

// Abort throws the upload away.
func (u *upload) Abort(context.Context) error {
	b := u.b
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if u.closed || b.aborted {
		return nil
	}
	if u.gen != b.gen {
		return stores.Fenced(b.id)
	}
	if b.committed != nil {
		return nil
	}
	b.aborted = true
	b.s.used -= b.allocated()
	b.pages = nil
	delete(b.s.uploads, b.id)
	return nil
}

// Close lets go of the upload and keeps it.
func (u *upload) Close() error {
	u.b.s.mu.Lock()
	defer u.b.s.mu.Unlock()
	u.closed = true
	return nil
}

// reader reads sealed bytes.
type reader struct{ b *body }

// ReadAt reads sealed bytes; pages that do not exist are zeros.
func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	r.b.s.mu.RLock()
	defer r.b.s.mu.RUnlock()
	if off < 0 {
		return 0, errcode.New(errcode.Internal, "read at negative offset %d", off)
	}
	if off >= r.b.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > r.b.size-off
	if short {
		p = p[:r.b.size-off]
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		q := p[done:min(len(p), done+int(pageSize-at%pageSize))]
		if pg := r.b.pages[at/pageSize]; pg != nil {
			copy(q, pg[at%pageSize:])
		} else {
			clear(q)
		}
		done += len(q)
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// NextData returns the first run of pages at or after off.
func (r *reader) NextData(off int64) (start, end int64, err error) {
	r.b.s.mu.RLock()
	defer r.b.s.mu.RUnlock()
	if off < 0 {
		return 0, 0, errcode.New(errcode.Internal, "find data at offset %d", off)
	}
	var after []int64
	for i := range r.b.pages {
		if i >= off/pageSize {
			after = append(after, i)
		}
	}
	if len(after) == 0 || off >= r.b.size {
		return r.b.size, r.b.size, nil
	}
	first := slices.Min(after)
	last := first
	for r.b.pages[last+1] != nil {
		last++
	}
	return max(off, first*pageSize), min((last+1)*pageSize, r.b.size), nil
}
