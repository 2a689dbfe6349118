package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"ingest/internal/errcode"
)

func testReopen(t *testing.T, f *fixture) {
	pin := f.open(nil).Pin()
	f.Replace(Content(len(f.content), 2))
	_, err := f.Driver.Open(f.Context(), f.Ref, &pin)
	f.wantCode("Open of another version of equal length", err, errcode.SourceChanged)
	f.Replace(Content(100, 2))
	_, err = f.Driver.Open(f.Context(), f.Ref, &pin)
	f.wantCode("Open of another version of another length", err, errcode.SourceChanged)
}

// testStreamChanged accepts the old version, whole, or an error.
func testStreamChanged(t *testing.T, f *fixture) {
	for _, n := range []int{len(f.content), 2 << 20} {
		s := f.open(nil)
		r := f.stream(s, 0)
		old, head := f.content, make([]byte, 1<<20)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		f.content = Content(n, uint32(n))
		f.Replace(f.content)
		rest, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(append(head, rest...), old) {
			t.Errorf("a stream over a change yields %d bytes of two versions", len(head)+len(rest))
		}
		if err != nil {
			f.wantCode("stream over a change", err, errcode.SourceChanged)
		}
		if _, err := s.Stream(f.Context(), 10); err == nil {
			t.Error("a stream of the old version is opened behind the change")
		} else {
			f.wantCode("Stream behind the change", err, errcode.SourceChanged)
		}
	}
}

func testReaderChanged(t *testing.T, f *fixture) {
	s := f.open(nil)
	r := f.readerAt(s)
	if _, err := r.ReadAt(make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	f.Replace(Content(len(f.content), 3))
	p := make([]byte, 2<<20)
	_, err := r.ReadAt(p, 1<<20)
	if err == nil {
		err = f.check(s)
	}
	f.wantCode("ReadAt and Check over a change", err, errcode.SourceChanged)
}

func testCut(t *testing.T, f *fixture) {
	short := []errcode.Code{errcode.SourceLengthMismatch, errcode.SourceChanged}
	s := f.open(nil)
	r := f.readerAt(s)
	st := f.stream(s, 0)
	f.Cut(2 << 20)
	st2, err := s.Stream(f.Context(), 0)
	if err == nil {
		defer st2.Close()
		_, err = io.ReadAll(st2)
	}
	f.wantCode("stream of a source cut short", err, short...)
	if got, err := io.ReadAll(st); err == nil && !bytes.Equal(got, f.content) {
		t.Errorf("a stream that was open ends after %d bytes without an error", len(got))
	}
	for _, n := range []int{100, 2 << 20} {
		_, err := r.ReadAt(make([]byte, n), int64(len(f.content)-n))
		f.wantCode("ReadAt behind the cut", err, short...)
	}
}

func testMissing(t *testing.T, f *fixture) {
	f.Remove()
	_, err := f.Driver.Open(f.Context(), f.Ref, nil)
	f.wantCode("Open of a missing source", err, errcode.SourceNotFound)
}

func testEnded(t *testing.T, f *fixture) {
	s := f.open(nil)
	ctx, cancel := context.WithCancel(f.Context())
	r, err := s.ReaderAt(ctx)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Stream(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	cancel()
	_, errOpen := f.Driver.Open(ctx, f.Ref, nil)
	_, errStream := s.Stream(ctx, 0)
	_, errReader := s.ReaderAt(ctx)
	_, errReadAt := r.ReadAt(make([]byte, 10), 0)
	_, errRead := io.ReadAll(st)
	for what, err := range map[string]error{
		"Open": errOpen, "Stream": errStream, "ReaderAt": errReader, "ReadAt": errReadAt, "Read": errRead,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want context.Canceled", what, err)
		}
	}
}

func testHang(t *testing.T, f *fixture) {
	if f.Hang == nil {
		t.Skip("reads of this source do not hang")
	}
	s := f.open(nil)
	ctx, cancel := context.WithCancel(f.Context())
	r, err := s.ReaderAt(ctx)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Stream(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	f.Hang()
	ended := make(chan error)
	for _, n := range []int{10, 2 << 20} {
		go func() { _, err := r.ReadAt(make([]byte, n), 100); ended <- err }()
	}
	go func() {
		again, err := s.Stream(ctx, 100)
		if err == nil {
			defer again.Close()
			_, err = io.ReadAll(again)
		}
		ended <- err
	}()
	cancel()
	for range 3 { // a read that does not end lets the test time out
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a blocked read ends with %v, want context.Canceled", err)
		}
	}
}

func testClosed(t *testing.T, f *fixture) {
	s := f.open(nil)
	r := f.readerAt(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 10), 0); err == nil {
		t.Error("a closed source is read")
	}
}
