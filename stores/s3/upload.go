package s3

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"

	"ingest/internal/errcode"
	"ingest/stores"
)

// upload is one handle on an upload.
type upload struct {
	s   *Store
	id  string
	key string

	op sync.Mutex // one Checkpoint, Seal, Commit, Abort or Close at a time

	mm   sync.Mutex // of what follows
	m    manifest
	etag string // of the manifest that m is
	done *claim // set once the bytes are visible
	gone error  // why nothing can be done through this handle, nil while it can

	sum   checksum
	parts *parts // nil for an upload that is sealed

	life context.Context // ends by Close and Abort, and all requests of WriteAt with it
	end  context.CancelFunc
}

var (
	_ stores.Upload = (*upload)(nil)
	_ stores.Zeroer = (*upload)(nil)
)

// Begin starts an upload. A size that is known decides how large the parts are.
func (s *Store) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	if most := s.maxObject(); size > most {
		return nil, errcode.New(errcode.ObjectTooLarge, "an object of store %s has at most %d bytes, the image has %d", s.name, most, size).
			With(errcode.Evidence{Structure: "store " + s.name, Field: "size", Value: strconv.FormatInt(size, 10), Limit: strconv.FormatInt(most, 10)})
	}
	return s.begin(ctx, key, size, size)
}

// BeginUpTo starts an upload whose size is not known.
func (s *Store) BeginUpTo(ctx context.Context, key string, most int64) (stores.Upload, error) {
	return s.begin(ctx, key, -1, min(most, s.maxObject()))
}

// maxObject is the largest object, bytes.
func (s *Store) maxObject() int64 {
	if s.o.PartSize > 0 {
		return min(s.o.MaxObject, even(s.o.PartSize).max())
	}
	return s.o.MaxObject
}

func (s *Store) begin(ctx context.Context, key string, size, most int64) (stores.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := stores.CheckKey(key); err != nil {
		return nil, err
	}
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	u := s.handle(stores.NewID(key), key)
	u.m = manifest{State: stateOpen, Generation: 1, Size: size, PartSize: s.o.PartSize, Layout: layoutFor(most, s.o.PartSize), Checksum: s.o.Checksum}
	var err error
	if u.etag, err = s.writeManifest(ctx, u.id, &u.m, condition{absent: true}); err != nil {
		return nil, storeError(err, "begin an upload in store %s", s.name)
	}
	u.parts = newParts(u, u.m.layout())
	return u, nil
}

func (s *Store) handle(id, key string) *upload {
	u := &upload{s: s, id: id, key: key, sum: checksum(s.o.Checksum)}
	u.life, u.end = context.WithCancel(context.Background())
	return u
}

// Resume takes an upload up again and fences older handles. It finishes what a
// crash left of a commit or a seal, and removes what one left of an abort.
func (s *Store) Resume(ctx context.Context, id string) (stores.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, ok := stores.KeyOfID(id)
	if !ok {
		return nil, stores.Unknown(id)
	}
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	u := s.handle(id, key)
	for {
		again, err := u.resume(ctx)
		if err != nil {
			return nil, storeError(err, "resume upload %s", id)
		}
		if !again {
			return u, nil
		}
	}
}

// resume takes the upload up in whatever state it is. It reports whether
// somebody changed the state meanwhile.
func (u *upload) resume(ctx context.Context) (again bool, err error) {
	m, etag, err := u.s.readManifest(ctx, u.id)
	switch {
	case isMissing(err):
		return false, u.resumeFinal(ctx)
	case err != nil:
		return false, err
	case m.State == stateAborted:
		if err := u.clear(ctx); err != nil {
			return false, err
		}
		return false, stores.Unknown(u.id)
	case m.State == stateCommitted:
		u.m, u.etag = m, etag
		return false, u.publish(ctx)
	}
	m.Generation++
	etag, err = u.s.writeManifest(ctx, u.id, &m, condition{etag: etag})
	if errors.Is(err, errCondition) {
		return true, ctx.Err()
	}
	if err != nil {
		return false, err
	}
	u.m, u.etag = m, etag
	if m.State == stateSealed {
		return false, nil
	}
	if m.Checksum != "" {
		u.sum = checksum(m.Checksum)
	}
	u.parts = newParts(u, m.layout())
	return false, u.resumeParts(ctx)
}

// resumeFinal takes up an upload without a manifest: it is an object, or
// nothing, of which parts or bytes may be left.
func (u *upload) resumeFinal(ctx context.Context) error {
	c, etag, err := u.s.readClaim(ctx, u.key)
	if err != nil && !isMissing(err) {
		return err
	}
	if err == nil && c.Upload == "" {
		if err := u.s.sweepClaim(ctx, u.key, etag); err != nil {
			return err
		}
	}
	if err != nil || c.Upload != u.id || !c.Final {
		if err := u.s.clearBytes(ctx, u.id); err != nil {
			return err
		}
		return stores.Unknown(u.id)
	}
	u.done = &c
	u.m = manifest{State: stateCommitted, Generation: c.Generation, Sealed: c.Size, ETag: c.ETag}
	return nil
}

// resumeParts finds out which parts the service has, or that it has put them
// together already.
func (u *upload) resumeParts(ctx context.Context) error {
	for _, h := range u.m.Held {
		u.parts.held[h.Part] = h
	}
	if u.m.Multipart != "" {
		err := u.listParts(ctx)
		if err == nil || !isMissing(err) {
			return err
		}
	}
	// A seal that was stopped between the bytes and the manifest.
	size, etag, err := u.s.head(ctx, u.s.dataPath(u.id))
	switch {
	case isMissing(err) && u.m.Multipart == "":
		return nil
	case isMissing(err): // somebody else has aborted the multipart upload
		u.parts.held = map[int]held{}
		return u.change(ctx, func(m *manifest) { m.Multipart, m.Held, m.Note, m.Bytes = "", nil, nil, 0 })
	case err != nil:
		return err
	}
	return u.change(ctx, func(m *manifest) { m.State, m.Sealed, m.ETag = stateSealed, size, etag })
}

// ID names the upload for Resume.
func (u *upload) ID() string { return u.id }

// Note returns the last durable note.
func (u *upload) Note() []byte {
	u.mm.Lock()
	defer u.mm.Unlock()
	return u.m.Note
}

// Sealed returns the sealed size.
func (u *upload) Sealed() (int64, bool) {
	u.mm.Lock()
	defer u.mm.Unlock()
	ok := u.m.State == stateSealed || u.m.State == stateCommitted
	return u.m.Sealed, ok
}

// WriteAt takes bytes; those of a part that was sent are the same and are left out.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	if err := u.writable(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, errcode.New(errcode.Internal, "write at negative offset %d", off)
	}
	n, err := u.parts.write(p, off)
	return n, storeError(err, "write %d bytes at offset %d", len(p), off)
}

// WriteZeros notes that n bytes at off are zeros, so that the part that they
// are in can go out.
func (u *upload) WriteZeros(off, n int64) error {
	if err := u.writable(); err != nil {
		return err
	}
	return storeError(u.parts.zeros(off, n), "note %d zeros at offset %d", n, off)
}

func (u *upload) writable() error {
	u.mm.Lock()
	defer u.mm.Unlock()
	if u.gone != nil {
		return u.gone
	}
	if u.m.State != stateOpen {
		return errcode.New(errcode.Conflict, "the upload is sealed and takes no more bytes")
	}
	return nil
}

// Checkpoint makes the bytes durable and then the note. It may be called on a
// sealed upload, to keep a note with it.
func (u *upload) Checkpoint(ctx context.Context, note []byte) error {
	u.op.Lock()
	defer u.op.Unlock()
	if err := u.usable(ctx); err != nil {
		return err
	}
	if u.done != nil {
		return errcode.New(errcode.Conflict, "upload %s is committed", u.id)
	}
	// Asked first, because a handle that was overtaken needs to send nothing.
	if err := u.youngest(ctx); err != nil {
		return storeError(err, "checkpoint upload %s", u.id)
	}
	var at, spent []held
	var bytes int64
	if u.parts != nil {
		var err error
		if at, spent, bytes, err = u.parts.save(ctx); err != nil {
			return storeError(err, "checkpoint upload %s", u.id)
		}
	}
	note = append([]byte(nil), note...)
	err := u.change(ctx, func(m *manifest) {
		m.Note = note
		if m.State == stateOpen {
			m.Held, m.Bytes = at, bytes
		}
	})
	if err == nil {
		u.s.dropHeld(ctx, u.id, spent)
	}
	return storeError(err, "checkpoint upload %s", u.id)
}

// youngest returns errcode.UploadFenced unless this handle is the youngest.
func (u *upload) youngest(ctx context.Context) error {
	m, err := u.look(ctx)
	if isMissing(err) || (err == nil && (m.Generation != u.m.Generation || m.State == stateAborted)) {
		return stores.Fenced(u.id)
	}
	return err
}

// look reads the manifest. One of this handle's generation is the handle's own, be
// it that the answer to its last change was lost.
func (u *upload) look(ctx context.Context) (manifest, error) {
	u.mm.Lock()
	defer u.mm.Unlock()
	m, etag, err := u.s.readManifest(ctx, u.id)
	if err == nil && m.Generation == u.m.Generation && m.State != stateAborted {
		u.m, u.etag = m, etag
	}
	return m, err
}

// change changes the manifest, if this handle is the youngest.
func (u *upload) change(ctx context.Context, fn func(*manifest)) error {
	u.mm.Lock()
	defer u.mm.Unlock()
	return u.changeLocked(ctx, fn)
}

func (u *upload) changeLocked(ctx context.Context, fn func(*manifest)) error {
	m := u.m
	fn(&m)
	etag, err := u.s.writeManifest(ctx, u.id, &m, condition{etag: u.etag})
	if errors.Is(err, errCondition) {
		return stores.Fenced(u.id)
	}
	if err != nil {
		return err
	}
	u.m, u.etag = m, etag
	return nil
}

// usable reports why nothing can be done through this handle, nil if it can.
func (u *upload) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.mm.Lock()
	defer u.mm.Unlock()
	return u.gone
}

// Close lets go of the upload and keeps it. What was not made durable by a
// Checkpoint is lost.
func (u *upload) Close() error {
	u.op.Lock()
	defer u.op.Unlock()
	u.letGo(errcode.Wrap(os.ErrClosed, errcode.Internal, "the upload is closed"))
	return nil
}

// letGo ends the handle; only the first reason counts.
func (u *upload) letGo(why error) {
	u.mm.Lock()
	first := u.gone == nil
	if first {
		u.gone = why
	}
	u.mm.Unlock()
	if !first {
		return
	}
	u.end()
	if u.parts != nil {
		u.parts.stop(why)
	}
}
