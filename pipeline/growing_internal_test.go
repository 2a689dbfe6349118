package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"ingest/internal/fsutil"
)

// TestGrowingFileWaitsForItsBytes reads ranges that are there, that come, and that
// never come.
func TestGrowingFileWaitsForItsBytes(t *testing.T) {
	content := []byte("0123456789")
	g := newGrowing(bytes.NewReader(content), 10, sidecar{Off: 3, Ranges: []span{{6, 8}}})
	ctx, cancel := context.WithCancelCause(t.Context())
	r := g.reader(ctx)
	read := func(off int64, n int) (string, error) {
		p := make([]byte, n)
		k, err := r.ReadAt(p, off)
		return string(p[:k]), err
	}
	for _, c := range []struct {
		off  int64
		n    int
		want string
	}{{0, 3, "012"}, {1, 2, "12"}, {6, 2, "67"}, {7, 1, "7"}} {
		if got, err := read(c.off, c.n); err != nil || got != c.want {
			t.Errorf("%d bytes at %d: %q, %v", c.n, c.off, got, err)
		}
	}
	came := make(chan string)
	go func() {
		got, _ := read(2, 5)
		came <- got
	}()
	g.add(span{4, 6})
	select {
	case got := <-came:
		t.Fatalf("read %q before it was there", got)
	default:
	}
	g.add(span{3, 4})
	if got := <-came; got != "23456" {
		t.Errorf("read %q", got)
	}
	if n := g.arrived(); n != 8 {
		t.Errorf("%d bytes have arrived", n)
	}
	gone := errors.New("over")
	go cancel(gone)
	if _, err := read(7, 3); err != gone {
		t.Errorf("what never comes: %v", err)
	}
	g.add(span{8, 10})
	if got, err := read(8, 5); got != "89" || err != io.EOF {
		t.Errorf("over the end: %q, %v", got, err)
	}
	if _, err := read(10, 1); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
}

// TestWhatIsWrittenAheadIsInProportion bounds what an image that nobody has judged can
// have written.
func TestWhatIsWrittenAheadIsInProportion(t *testing.T) {
	a := &ahead{fetching: newGrowing(bytes.NewReader(nil), 1<<40, sidecar{Off: 1 << 20})}
	if err := a.admit(aheadSlack + aheadFactor<<20); err != nil {
		t.Error(err)
	}
	if err := a.admit(1); err != errFarAhead {
		t.Errorf("a byte more: %v", err)
	}
	a.fetching.add(span{1 << 20, 2 << 20})
	if err := a.admit(aheadFactor<<20 - 1); err != nil {
		t.Errorf("with more of the source: %v", err)
	}
}

// TestWhatIsNotJournaledHasNotComeIn has nothing be read ahead that another attempt
// would fetch again, from a server that may give other bytes then.
func TestWhatIsNotJournaledHasNotComeIn(t *testing.T) {
	s := staging{dir: t.TempDir(), name: firstFile}
	f, err := s.own(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := &ranged{stager: &stager{staging: s, f: f, grown: newGrowing(f, 8, sidecar{})}, boot: "boot"}
	b.moved = sync.NewCond(&b.mu)
	inTheWay := s.data() + ".now" + fsutil.TempSuffix
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.keep(span{0, 4}, []byte("data")); err == nil {
		t.Fatal("there is a journal where a folder is")
	}
	if n := b.grown.arrived(); n != 0 {
		t.Errorf("%d bytes have come in", n)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := b.keep(span{0, 4}, []byte("data")); err != nil || b.grown.arrived() != 4 {
		t.Errorf("%d bytes have come in, %v", b.grown.arrived(), err)
	}
}
