package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"ingest/internal/errcode"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// A cloning store takes objects over by itself, and counts how often it does, and what
// is written beside.
type cloning struct {
	*fs.Store
	clones, written atomic.Int64
	noted           atomic.Int64 // checkpoints
	cut             error        // with which a clone ends in its middle
}

type cloningUpload struct {
	stores.Upload
	s *cloning
}

func (s *cloning) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	up, err := s.Store.Begin(ctx, key, size)
	return &cloningUpload{up, s}, err
}

func (s *cloning) Resume(ctx context.Context, id string) (stores.Upload, error) {
	up, err := s.Store.Resume(ctx, id)
	if err != nil {
		return nil, err
	}
	return &cloningUpload{up, s}, nil
}

func (u *cloningUpload) WriteAt(p []byte, off int64) (int, error) {
	u.s.written.Add(int64(len(p)))
	return u.Upload.WriteAt(p, off)
}

// Checkpoint makes one and counts it.
func (u *cloningUpload) Checkpoint(ctx context.Context, note []byte) error {
	err := u.Upload.Checkpoint(ctx, note)
	if err == nil {
		u.s.noted.Add(1)
	}
	return err
}

// Mark keeps a note as the upload beneath does.
func (u *cloningUpload) Mark(ctx context.Context, note []byte) error {
	return u.Upload.(stores.Marker).Mark(ctx, note)
}

func (u *cloningUpload) Clone(_ context.Context, o stores.Object, _ func(int64)) (bool, error) {
	u.s.clones.Add(1)
	p := make([]byte, o.Size())
	if _, err := o.ReadAt(p, 0); err != nil && err != io.EOF {
		return false, err
	}
	if u.s.cut != nil {
		_, err := u.Upload.WriteAt(p[:len(p)/2], 0)
		return false, errors.Join(u.s.cut, err)
	}
	_, err := u.Upload.WriteAt(p, 0)
	return err == nil, err
}

func withCloning(t *testing.T) (*pipeline.Pipeline, *cloning) {
	p := several(t)
	second := &cloning{Store: p.Stores["second"].(*fs.Store)}
	p.Stores["second"] = second
	return p, second
}

// A copy that the stores make among themselves is read back before it is committed,
// and goes on where it was read to.
func TestClonedCopyIsReadBack(t *testing.T) {
	data := sparse(t)
	p, second := withCloning(t)
	p.CheckpointEvery = 1
	c := copyOf(data, "second", keepObject(t, p.Stores["main"], data))
	ctx, stop := context.WithCancel(t.Context())
	_, err := p.Copy(ctx, c, func(done, _ int64, _ []byte) {
		// The clone's own note is the first; that of what was read is made beside the reading.
		if done > int64(len(data)/2) && eventually(func() bool { return second.noted.Load() > 1 }) {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped in the middle: %v", err)
	}
	first := int64(-1)
	if _, err := p.Copy(t.Context(), c, func(done, _ int64, _ []byte) {
		if first < 0 {
			first = done
		}
	}); err != nil {
		t.Fatal(err)
	}
	if first <= 0 || second.clones.Load() != 1 || second.written.Load() != 0 {
		t.Errorf("went on at %d, %d clones, %d bytes written", first, second.clones.Load(), second.written.Load())
	}
	if !bytes.Equal(content(t, second, c.Key), data) {
		t.Error("other bytes")
	}
	noUploads(t, p)
}

func TestClonedCopyOfWrongBytes(t *testing.T) {
	data := sparse(t)
	p, second := withCloning(t)
	wrong := bytes.Clone(data)
	wrong[9<<20] ^= 1
	c := copyOf(data, "second", keepObject(t, p.Stores["main"], wrong))
	if _, err := p.Copy(t.Context(), c, nil); errcode.Of(err) != errcode.VerifyMismatch {
		t.Errorf("%v", err)
	}
	noUploads(t, p)
	// The next place is right.
	c.From = append(c.From, keepObject(t, p.Stores["mem"], data))
	if _, err := p.Copy(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, second, c.Key), data) {
		t.Error("other bytes")
	}
	noUploads(t, p)
}

// A clone that is cut is made by reading and writing; one for which there is no room
// ends the attempt.
func TestCloneThatFails(t *testing.T) {
	data := sparse(t)
	p, second := withCloning(t)
	src := keepObject(t, p.Stores["main"], data)
	second.cut = errors.New("cut")
	c := copyOf(data, "second", src)
	if _, err := p.Copy(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, second, c.Key), data) || second.written.Load() == 0 {
		t.Error("other bytes")
	}
	second.cut = errcode.New(errcode.NoSpace, "full")
	if _, err := p.Copy(t.Context(), copyOf(data, "second", src), nil); errcode.Of(err) != errcode.NoSpace {
		t.Errorf("a full store: %v", err)
	}
}
