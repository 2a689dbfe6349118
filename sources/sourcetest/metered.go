package sourcetest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"ingest/internal/bandwidth"
)

// metered is a context whose reads are of a budget.
func metered(ctx context.Context, b *bandwidth.Bucket) context.Context {
	return bandwidth.With(ctx, &bandwidth.Meter{Reads: bandwidth.Flow{b}})
}

// testCounted holds that what is read counts, and nothing else.
func testCounted(t *testing.T, f *fixture) {
	size := int64(len(f.content))
	b := bandwidth.NewBucket(0)
	s := f.open(nil)
	r, err := s.Stream(metered(t.Context(), b), 100)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.readAll(r); !bytes.Equal(got, f.content[100:]) {
		t.Error("a metered stream yields other bytes")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got := b.Use().Bytes; got != size-100 {
		t.Errorf("a stream of %d bytes counts as %d", size-100, got)
	}
	at, err := s.ReaderAt(metered(t.Context(), b))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.readAll(io.NewSectionReader(at, 0, size)); !bytes.Equal(got, f.content) {
		t.Error("a metered reader yields other bytes")
	}
	if got := b.Use().Bytes; got < size || got > 2*size {
		t.Errorf("a reader of %d bytes counts as %d", size, got)
	}
}

// testLimited reads within a budget, and no longer than its context.
func testLimited(t *testing.T, f *fixture) {
	const rate = 4 << 20
	s := f.open(nil)
	b := bandwidth.NewBucket(rate)
	begun := time.Now()
	r, err := s.Stream(metered(t.Context(), b), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.readAll(r); !bytes.Equal(got, f.content) {
		t.Error("a limited stream yields other bytes")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	// Half a second may have been saved up before the first byte came.
	if took, least := time.Since(begun).Seconds(), float64(len(f.content))/rate-0.5; took < least {
		t.Errorf("%d bytes at %d a second took %.2f s", len(f.content), rate, took)
	}
	b.Grant(0, time.Time{})
	ctx, stop := context.WithCancel(metered(t.Context(), b))
	time.AfterFunc(50*time.Millisecond, stop)
	at, err := s.ReaderAt(ctx)
	if err == nil {
		_, err = at.ReadAt(make([]byte, 2<<20), 0)
	}
	if err == nil || ctx.Err() == nil {
		t.Errorf("a read without any budget left ends with %v", err)
	}
}
