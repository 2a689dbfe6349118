package pipeline_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

// writes counts what is written into each store.
type writes struct {
	mu    sync.Mutex
	count map[string]*bandwidth.Bucket
}

func (w *writes) meter() *bandwidth.Meter {
	w.count = map[string]*bandwidth.Bucket{}
	return &bandwidth.Meter{Writes: func(_ context.Context, store string) (bandwidth.Flow, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.count[store] == nil {
			w.count[store] = bandwidth.NewBucket(0)
		}
		return bandwidth.Flow{w.count[store]}, nil
	}}
}

func (w *writes) bytes() map[string]int64 {
	out := map[string]int64{}
	for name, b := range w.count {
		out[name] = b.Use().Bytes
	}
	return out
}

// TestWritesCountForTheirStore converts and copies: what counts is what is written, for
// the store that it is written into, and not its holes.
func TestWritesCountForTheirStore(t *testing.T) {
	data := sparse(t)
	p := several(t)
	var w writes
	ctx := bandwidth.With(t.Context(), w.meter())
	if _, err := p.Copy(ctx, copyOf(data, "mem", keepObject(t, p.Stores["main"], data)), func(int64, int64, []byte) {}); err != nil {
		t.Fatal(err)
	}
	got := w.bytes()
	if n := got["mem"]; len(got) != 1 || n < 9<<20 || n > 14<<20 {
		t.Errorf("a copy of %d bytes with holes counts %v", len(data), got)
	}
	for _, format := range []string{"raw", "qcow2"} {
		src := imgtest.WriteRaw(t, mixed())
		p, _ := newPipeline(t, filepath.Dir(src))
		j := newJob(src, contract.TargetSpec{Format: format})
		prepare(t, p, j)
		ctx := bandwidth.With(t.Context(), w.meter())
		out, err := p.Convert(ctx, j.convertParams(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := w.bytes()
		if n := got["main"]; len(got) != 1 || n < 7<<20 || n > out.Size+1<<20 {
			t.Errorf("%s: a conversion to %d bytes counts %v", format, out.Size, got)
		}
	}
}

// prepare takes the steps before the conversion.
func prepare(t *testing.T, p *pipeline.Pipeline, j *job) {
	t.Helper()
	var err error
	if j.fetched, err = p.Fetch(t.Context(), j.fetchParams(), nil); err != nil {
		t.Fatal(err)
	}
	if j.detected, _, err = p.Detect(t.Context(), contract.DetectParams{TaskID: j.task, Fetched: j.fetched}); err != nil {
		t.Fatal(err)
	}
	v, _, err := p.Validate(t.Context(), contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target})
	if err != nil {
		t.Fatal(err)
	}
	j.target = v.Target
}
