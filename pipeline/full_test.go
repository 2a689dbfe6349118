package pipeline_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
	"ingest/stores/mem"
)

// promises keeps what tasks have been promised, and has room for everybody.
type promises struct {
	mu  sync.Mutex
	has map[string]pipeline.Claim // by kind and part
}

func (p *promises) Claim(_ context.Context, c pipeline.Claim) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.has == nil {
		p.has = map[string]pipeline.Claim{}
	}
	p.has[c.Kind+" "+c.Part] = c
	return nil
}

// A filled store's disk is full behind the first bytes of each upload.
type filledStore struct{ *fs.Store }

type filledUpload struct{ stores.Upload }

func (s filledStore) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	u, err := s.Store.Begin(ctx, key, size)
	return filledUpload{u}, err
}

func (filledUpload) WriteAt([]byte, int64) (int, error) {
	return 0, errcode.Wrap(unix.ENOSPC, errcode.NoSpace, "no space is left")
}

// A step that a full disk has ended keeps neither bytes nor a promise of room: who
// begins anew would be let in by it, whatever is free then, and fill the disk again.
func TestFullDiskEndsPromises(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.Random(5, 5<<20, 1<<20))
	p, real := newPipeline(t, filepath.Dir(src))
	p.Stores["mem"] = mem.New("mem")
	kept := &promises{}
	p.Space, p.Stores["main"] = kept, filledStore{real}
	j := newJob(src, contract.TargetSpec{Format: "raw"})
	if err := j.run(t, p); errcode.Of(err) != errcode.NoSpace {
		t.Fatalf("a full store: %v", err)
	}
	data := sparse(t)
	copied := copyOf(data, "main", keepObject(t, p.Stores["mem"], data))
	if _, err := p.Copy(t.Context(), copied, nil); errcode.Of(err) != errcode.NoSpace {
		t.Fatalf("a copy into a full store: %v", err)
	}
	if len(kept.has) != 2 {
		t.Errorf("%d promises were asked for: %v", len(kept.has), kept.has)
	}
	for of, c := range kept.has {
		if c.Bytes != 0 || c.Room != 0 {
			t.Errorf("%s is still promised %d bytes, %d on the disk", of, c.Bytes, c.Room)
		}
	}
	noUploads(t, p)
}
