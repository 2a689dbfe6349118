package pipeline

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"ingest/detect"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/sources"
)

// A staging is the folder of one task below StagingDir:
//
//	<task id>/source       the source's bytes so far, holes where they are zero
//	<task id>/source.json  the sidecar: pin, bytes that are durable, hash state
//	<task id>/source.now.json  the journal: the same, as far as it is in the page cache
//	<task id>/ahead.json   which upload is made of it meanwhile: see aheadRecord
//	<task id>/member-N     those of the image's N-th other file, from 0
//	<task id>/member-N.json
//	<task id>/source-packed  a zip from a server without ranges, until it is unwrapped
//
// A staging value is one of these files with its sidecar.
// The sidecar vouches for the bytes before its offset, and for its ranges behind it,
// and for nothing else. Attempts at one task exclude each other by a lock on the
// source's file: one that starts anew empties it, and sources without a version need
// not give the same bytes.
type staging struct {
	dir  string
	name string // of the file
	look *look  // at its first bytes, nil for none
	// claim is the file's space, nil if nobody keeps account of it.
	claim *claim
	ahead *ahead // converts while the file is staged, nil for nothing
}

// A sidecar is what is known of a staged file.
type sidecar struct {
	Pin    sources.Pin `json:"pin"`
	Algo   string      `json:"algo"`             // names of the digester's lanes
	Off    int64       `json:"off"`              // bytes before it are durable; the file is at least as long
	Ranges []span      `json:"ranges,omitempty"` // behind Off that are durable too
	State  []byte      `json:"state"`            // of the hash, at Off
	Done   bool        `json:"done"`             // the whole source is here
	Digest string      `json:"digest"`           // once done; of the source
	// Layer is what was taken off, "" for nothing. The file is then either whole
	// or worth nothing, Off is its length, SourceSize that of the source.
	Layer      string `json:"layer,omitempty"`
	SourceSize int64  `json:"source_size,omitempty"`
}

func (p *Pipeline) staging(taskID string) staging {
	// The id becomes a file name, so only a UUID will do; anything else maps
	// to a folder that no import uses.
	id, err := uuid.Parse(taskID)
	if err != nil {
		id = uuid.Nil
	}
	return staging{dir: filepath.Join(p.StagingDir, id.String()), name: firstFile}
}

// member returns the staging of the image's i-th other file.
func (s staging) member(i int) staging {
	name := "member-" + strconv.Itoa(i)
	return staging{dir: s.dir, name: name, claim: s.claim.part(name)}
}

// packed returns the staging of the file as it comes, if it must be there before
// its layer can be taken off.
func (s staging) packed() staging {
	name := s.name + "-packed"
	return staging{dir: s.dir, name: name, claim: s.claim.part(name)}
}

func (s staging) data() string    { return filepath.Join(s.dir, s.name) }
func (s staging) sidecar() string { return s.data() + ".json" }

// remove removes all that is staged for the task. An attempt that still writes may put
// its journal into the folder meanwhile; it does so once, for it has lost its file.
func (s staging) remove() error {
	for try := 0; ; try++ {
		if err := os.RemoveAll(s.dir); !errors.Is(err, unix.ENOTEMPTY) || try == 100 {
			return err
		}
	}
}

// discard removes this file. The bytes go first: an attempt that still writes
// them then vouches for nothing any more.
func (s staging) discard() error {
	if err := s.disown(); err != nil {
		return err
	}
	for _, name := range []string{s.data(), s.sidecar(), s.journal()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// load returns the sidecar, or the journal, which knows more of a source that is being
// staged by this boot of the host; the zero value if there is none that can be used.
func (s staging) load() sidecar {
	var c sidecar
	p, err := os.ReadFile(s.sidecar())
	if err != nil || json.Unmarshal(p, &c) != nil {
		c = sidecar{}
	}
	if c.Done {
		return c
	}
	if j, ok := s.loadJournal(); ok {
		return j
	}
	return c
}

// pin returns the version that was being staged, nil if none was.
func (s staging) pin() *sources.Pin {
	if c := s.load(); c.bytes() > 0 || c.Done {
		return &c.Pin
	}
	return nil
}

// have returns how many bytes of a version are staged.
func (s staging) have(pin sources.Pin) int64 {
	c := s.load()
	switch {
	case c.Pin != pin:
	case c.Done && c.Layer != "":
		return c.SourceSize
	case pin.Random || c.Done:
		return c.bytes()
	}
	return 0
}

func (s staging) save(c sidecar) error {
	p, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return fsutil.WriteDurable(s.dir, s.name+".json", p)
}

// stage copies the source into the staging folder, taking its digests on the
// way, and returns its length and them. It goes on where an earlier attempt
// stopped if the source is still the pinned version. others is the bytes of the
// image's other files, which count towards the largest source.
func (p *Pipeline) stage(ctx context.Context, s staging, src sources.Source, d *digester, others int64, o Observe) (n int64, _ *digester, err error) {
	f, err := s.own(ctx)
	if err != nil {
		return 0, nil, spaceError(err)
	}
	defer f.Close()
	// Read again: an older attempt may have gone on until it let the lock go.
	c, h, err := s.resume(f, src.Pin(), d)
	if err != nil || c.Done {
		return c.Off, h, spaceError(err)
	}
	if err := s.rebooted(); err != nil {
		return 0, nil, spaceError(err)
	}
	if err := p.checkSpace(src.Pin().Size - c.bytes()); err != nil {
		return 0, nil, err
	}
	if size := src.Pin().Size; size > 0 {
		if err := s.claim.set(ctx, size, size); err != nil {
			return 0, nil, err
		}
	}
	st := &stager{staging: s, ctx: ctx, f: f, c: c, h: h, max: p.MaxSourceBytes, others: others, last: time.Now(), lastOff: c.Off, o: o}
	if s.ahead != nil {
		st.grown = newGrowing(f, src.Pin().Size, c)
		// Before the lock is let go: another attempt may empty the file.
		defer func() { s.ahead.stop(err == nil) }()
	}
	if err := st.run(ctx, p, src); err != nil {
		return 0, nil, spaceError(err)
	}
	st.c.Digest = h.text()
	st.c.Done = true
	if err := st.checkpoint(); err != nil {
		return 0, nil, spaceError(err)
	}
	os.Remove(s.journal()) // the sidecar knows all
	return st.c.Off, h, s.claim.set(ctx, st.c.Off, st.c.Off)
}

// lockEvery is the time between two looks whether a lock is free.
const lockEvery = 50 * time.Millisecond

// own opens the source's file, makes it if there is none, and locks it. It
// waits for an attempt that has it.
func (s staging) own(ctx context.Context) (*os.File, error) {
	for {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(s.data(), os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed in between
		}
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && s.owned(f) == nil {
			return f, nil
		}
		f.Close()
		if err != nil && err != unix.EWOULDBLOCK && err != unix.EINTR {
			return nil, err
		}
		select {
		case <-time.After(lockEvery):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// owned returns errcode.UploadFenced if f is not the staged file any more.
func (s staging) owned(f *os.File) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(s.data())
	if err != nil || !os.SameFile(mine, there) {
		return errcode.New(errcode.UploadFenced, "another attempt has thrown the staged source away")
	}
	return nil
}

// resume returns what an earlier attempt staged of the pinned version in f, with
// the hash's state, or a start with an empty file.
func (s staging) resume(f *os.File, pin sources.Pin, d *digester) (sidecar, *digester, error) {
	st, err := f.Stat()
	if err != nil {
		return sidecar{}, nil, err
	}
	c, algo, start := s.load(), d.names(), sidecar{Pin: pin, Algo: d.names()}
	if c.Algo != algo || c.Pin != pin || c.Layer != "" || st.Size() < c.end() || c.Done && st.Size() != c.Off || !c.Done && !pin.Random {
		return start, d, s.restart(f)
	}
	h, err := d.fresh()
	if err != nil {
		return sidecar{}, nil, err
	}
	if !h.restored(c.State) {
		return start, d, s.restart(f)
	}
	return c, h, nil
}

// restart empties the file, of which nothing is said any more.
func (s staging) restart(f *os.File) error {
	if err := s.forget(); err != nil {
		return err
	}
	return f.Truncate(0)
}

// A stager writes one staged file.
type stager struct {
	staging
	ctx     context.Context // of the attempt
	f       *os.File
	c       sidecar
	h       *digester
	max     int64     // bytes of all files together, 0 for any number
	last    time.Time // of the last checkpoint
	others  int64     // bytes of the image's other files
	lastOff int64     // offset of the last checkpoint
	o       Observe
	grown   *growing // what of the file is there, nil if nobody reads it yet
}

// run copies from the sidecar's offset to the end.
func (s *stager) run(ctx context.Context, p *Pipeline, src sources.Source) error {
	if src.Pin().Random && src.Pin().Size > 0 {
		return s.ranges(ctx, p, src)
	}
	return s.stream(ctx, src)
}

// stream copies a source that can only be read from its start.
func (s *stager) stream(ctx context.Context, src sources.Source) error {
	body, err := src.Stream(ctx, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	buf := make([]byte, detect.HeadBytes) // the first one is all that look wants
	for {
		n, err := io.ReadFull(body, buf)
		if n > 0 {
			if err := s.take(buf[:n], s.c.Off, int64(n)); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return s.endOfStream(src)
		case err != nil:
			return err
		}
	}
}

func (s *stager) endOfStream(src sources.Source) error {
	if want := src.Pin().Size; want >= 0 && s.c.Off != want {
		return errcode.New(errcode.SourceLengthMismatch, "the source ended after %d of %d bytes", s.c.Off, want)
	}
	if s.c.Off == 0 {
		return errcode.New(errcode.Empty, "the source has no bytes")
	}
	return s.f.Truncate(s.c.Off)
}

// take writes, hashes and counts the next bytes. data is nil for zeros.
func (s *stager) take(data []byte, off, n int64) error {
	if size := addSizes(s.others, off+n); s.max > 0 && size > s.max {
		return tooLarge(size, s.max)
	}
	if err := s.claim.reach(s.ctx, off+n); err != nil {
		return err
	}
	if data == nil {
		hashZeros(s.h, n)
	} else {
		if _, err := s.f.WriteAt(data, off); err != nil {
			return err
		}
		s.h.Write(data)
	}
	s.c.Off = off + n
	s.grown.add(span{off, s.c.Off})
	s.o(s.c.Off, s.c.Pin.Size, nil)
	return s.looked()
}

func (s *stager) checkpoint() error {
	// Zeros at the end are not written; the length tells that they are meant.
	if err := s.f.Truncate(s.c.Off); err != nil {
		return err
	}
	state, err := s.h.MarshalBinary()
	if err != nil {
		return err
	}
	s.c.State = state
	return s.checkpointOf(s.c)
}

// checkpointOf makes the file durable, and then what c says of it.
func (s *stager) checkpointOf(c sidecar) error {
	if err := fsutil.Datasync(s.f); err != nil {
		return err
	}
	if err := s.owned(s.f); err != nil {
		return err
	}
	s.last, s.lastOff = time.Now(), c.Off
	return s.save(c)
}

// restore sets a hash to a state; an empty state is a fresh hash.
func restore(h hash.Hash, state []byte) bool {
	if len(state) == 0 {
		return true
	}
	return h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) == nil
}
