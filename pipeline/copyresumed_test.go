package pipeline_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A fickle store gives other bytes the first time, and breaks off at cut, as soon as it
// was asked for all before.
type fickle struct {
	stores.Store
	first []byte
	cut   int64
	asked atomic.Int64
	once  sync.Once
	all   chan struct{} // closed then
	over  atomic.Bool   // it was the first time
}

func (f *fickle) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if f.over.Load() {
		return f.Store.OpenRange(ctx, key, off, n)
	}
	if off >= f.cut {
		<-f.all
		return nil, errcode.New(errcode.StoreUnavailable, "cut off")
	}
	if f.asked.Add(n) >= f.cut {
		f.once.Do(func() { close(f.all) })
	}
	return io.NopCloser(bytes.NewReader(f.first[off : off+n])), nil
}

// What a copy's first attempt was given and its second was not is never committed, not
// even where the second was given zeros.
func TestCopyOfOtherBytesTheSecondTime(t *testing.T) {
	data := make([]byte, 12<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	first := bytes.Clone(data)
	clear(data[8<<20 : 10<<20]) // behind the first mark
	p := several(t)
	p.CheckpointEvery = time.Hour
	from := &fickle{Store: p.Stores["mem"], first: first, cut: 10 << 20, all: make(chan struct{})}
	c := copyOf(data, "second", keepObject(t, from, data))
	p.Stores["mem"] = from
	if _, err := p.Copy(t.Context(), c, nil); errcode.Of(err) != errcode.StoreUnavailable {
		t.Fatalf("cut off: %v", err)
	}
	from.over.Store(true)
	begun := int64(-1)
	if _, err := p.Copy(t.Context(), c, func(done, _ int64, _ []byte) {
		if begun < 0 {
			begun = done
		}
	}); errcode.Of(err) != errcode.VerifyMismatch || begun != 8<<20 {
		t.Fatalf("what began at %d: %v", begun, err)
	}
	noUploads(t, p)
	if _, err := p.Copy(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, p.Stores["second"], c.Key), data) {
		t.Error("the copy differs")
	}
}
