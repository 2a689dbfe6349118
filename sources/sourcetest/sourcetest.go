package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"ingest/internal/errcode"
	"ingest/sources"
)

// A Fixture is one source of known content. The functions may be called while
// the source is open.
type Fixture struct {
	Driver sources.Driver
	Ref    sources.Ref
	// Replace gives the source other content, as its owner would.
	Replace func(content []byte)
	// Cut makes the source end after n bytes, though it says that it is whole.
	Cut func(n int)
	// Remove makes the source vanish.
	Remove func()
	// Hang makes every later read of the content wait until the test ends. nil
	// if reads of this source cannot hang.
	Hang func()
}

// Run runs the suite. make returns a fresh source with the given content;
// what it needs is released by tb.Cleanup.
func Run(t *testing.T, make func(tb testing.TB, content []byte) Fixture) {
	tests := []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"pin", testPin},
		{"stream", testStream},
		{"stream from an offset", testOffset},
		{"reader", testReader},
		{"reader's holes", testHoles},
		{"concurrent reads", testConcurrent},
		{"empty source", testEmpty},
		{"open of another version", testReopen},
		{"reads count", testCounted},
		{"reads within a budget", testLimited},
		{"stream over a change", testStreamChanged},
		{"reader over a change", testReaderChanged},
		{"source cut short", testCut},
		{"missing source", testMissing},
		{"ended context", testEnded},
		{"context ends a blocked read", testHang},
		{"closed source", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			content := Content(3<<20+17, 1)
			if tt.name == "empty source" {
				content = nil
			}
			tt.run(t, &fixture{TB: t, Fixture: make(t, content), content: content})
		})
	}
}

// Content returns n bytes that repeat nowhere near and hold a hole of 1 MiB if
// there is room for it.
func Content(n int, seed uint32) []byte {
	p := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	if n >= 3<<20 {
		clear(p[1<<20 : 2<<20])
	}
	return p
}

type fixture struct {
	testing.TB
	Fixture
	content []byte
}

func (f *fixture) open(pin *sources.Pin) sources.Source {
	f.Helper()
	s, err := f.Driver.Open(f.Context(), f.Ref, pin)
	if err != nil {
		f.Fatalf("Open: %v (%v)", err, errors.Unwrap(err))
	}
	f.Cleanup(func() { s.Close() })
	return s
}

func (f *fixture) readerAt(s sources.Source) io.ReaderAt {
	f.Helper()
	r, err := s.ReaderAt(f.Context())
	if err != nil {
		f.Fatalf("ReaderAt: %v", err)
	}
	return r
}

func (f *fixture) stream(s sources.Source, off int64) io.ReadCloser {
	f.Helper()
	r, err := s.Stream(f.Context(), off)
	if err != nil {
		f.Fatalf("Stream(%d): %v", off, err)
	}
	f.Cleanup(func() { r.Close() })
	return r
}

func (f *fixture) readAll(r io.Reader) []byte {
	f.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		f.Fatalf("read: %v (%v)", err, errors.Unwrap(err))
	}
	return b
}

func (f *fixture) wantCode(what string, err error, want ...errcode.Code) {
	f.Helper()
	if !slices.Contains(want, errcode.Of(err)) {
		f.Errorf("%s: %v (%v), want %q", what, err, errors.Unwrap(err), want)
	}
}

// check calls the optional Check of a source.
func (f *fixture) check(s sources.Source) error {
	if c, ok := s.(interface{ Check(context.Context) error }); ok {
		return c.Check(f.Context())
	}
	return nil
}

func testPin(t *testing.T, f *fixture) {
	pin := f.open(nil).Pin()
	if pin.Driver != f.Driver.Name() || pin.URL != f.Ref.URL || pin.Size != int64(len(f.content)) || pin.Validator == "" || !pin.Random {
		t.Errorf("Pin = %+v, want driver %s, %d bytes, a validator and random reads", pin, f.Driver.Name(), len(f.content))
	}
	b, err := json.Marshal(pin)
	var back sources.Pin
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || back != pin {
		t.Errorf("a pin does not survive its travel: %+v, %v", back, err)
	}
	s := f.open(&back)
	if s.Pin() != pin {
		t.Errorf("Pin with a pin = %+v, want %+v", s.Pin(), pin)
	}
	if err := f.check(s); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func testStream(t *testing.T, f *fixture) {
	s := f.open(nil)
	if err := iotest.TestReader(f.stream(s, 0), f.content); err != nil {
		t.Error(err)
	}
	if got := f.readAll(f.stream(s, 0)); !bytes.Equal(got, f.content) {
		t.Errorf("a second stream yields %d bytes that differ", len(got))
	}
	early := f.stream(s, 0)
	if _, err := io.ReadFull(early, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := early.Close(); err != nil {
		t.Errorf("Close in the middle: %v", err)
	}
}

func testOffset(t *testing.T, f *fixture) {
	s := f.open(nil)
	size := len(f.content)
	for _, off := range []int{1, 1<<20 - 1, 2 << 20, size - 1, size} {
		if got := f.readAll(f.stream(s, int64(off))); !bytes.Equal(got, f.content[off:]) {
			t.Errorf("stream from %d yields %d bytes that differ", off, len(got))
		}
	}
	for _, off := range []int64{-1, int64(size) + 1} {
		_, err := s.Stream(f.Context(), off)
		f.wantCode("Stream outside the source", err, errcode.RangeInvalid)
	}
}

func testReader(t *testing.T, f *fixture) {
	r := f.readerAt(f.open(nil))
	size := len(f.content)
	for _, rd := range []struct{ off, n int }{
		{0, 1}, {0, 512}, {511, 2}, {1<<20 - 1, 2}, {100, 2 << 20}, {1 << 20, 1 << 20}, {size - 1, 1}, {size - 1, 2}, {size - 5000, 10_000}, {size, 1}, {size + 100, 1}, {0, size}, {0, size + 1},
	} {
		p := bytes.Repeat([]byte{0xaa}, rd.n)
		n, err := r.ReadAt(p, int64(rd.off))
		want := f.content[min(rd.off, size):min(rd.off+rd.n, size)]
		if !bytes.Equal(p[:n], want) {
			t.Errorf("ReadAt(%d, %d) = %d bytes that differ from the %d there", rd.off, rd.n, n, len(want))
		}
		if rd.off+rd.n > size && err != io.EOF || rd.off+rd.n < size && err != nil || err != nil && err != io.EOF {
			t.Errorf("ReadAt(%d, %d): %v", rd.off, rd.n, err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt at a negative offset: %v", err)
	}
	all := f.readAll(io.NewSectionReader(r, 0, int64(size)))
	if !bytes.Equal(all, f.content) {
		t.Error("a walk in small steps yields bytes that differ")
	}
}

func testHoles(t *testing.T, f *fixture) {
	r := f.readerAt(f.open(nil))
	d, ok := r.(interface {
		NextData(off int64) (start, end int64, err error)
	})
	if !ok {
		t.Skip("this source does not know its holes")
	}
	size := int64(len(f.content))
	for off := int64(0); off < size; {
		start, end, err := d.NextData(off)
		if err != nil || start < off || end < start || end > size {
			t.Fatalf("NextData(%d) = [%d, %d), %v", off, start, end, err)
		}
		next := end
		if start == end {
			start, next = size, size
		}
		for i, b := range f.content[off:start] {
			if b != 0 {
				t.Fatalf("NextData leaves out data at %d", off+int64(i))
			}
		}
		off = next
	}
}

func testConcurrent(t *testing.T, f *fixture) {
	s := f.open(nil)
	r := f.readerAt(s)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			if w%4 == 0 {
				got, err := io.ReadAll(f.stream(s, int64(w)))
				if err != nil || !bytes.Equal(got, f.content[w:]) {
					t.Errorf("stream from %d: %d bytes, %v", w, len(got), err)
				}
				return
			}
			for i := range 40 {
				off := (i*78_901 + w*37_337) % len(f.content)
				p := make([]byte, 5000*w)
				n, err := r.ReadAt(p, int64(off))
				if (err != nil && err != io.EOF) || !bytes.Equal(p[:n], f.content[off:min(off+len(p), len(f.content))]) {
					t.Errorf("ReadAt(%d, %d) = %d, %v", off, len(p), n, err)
				}
			}
		})
	}
	wg.Wait()
}

func testEmpty(t *testing.T, f *fixture) {
	s := f.open(nil)
	if s.Pin().Size != 0 {
		t.Errorf("Size = %d", s.Pin().Size)
	}
	if got := f.readAll(f.stream(s, 0)); len(got) != 0 {
		t.Errorf("an empty source yields %d bytes", len(got))
	}
}
