package bandwidth

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a store's upload.
type sink struct {
	data  []byte
	calls int
	fail  error
}

func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	s.calls++
	if s.fail != nil && s.calls > 1 {
		return 0, s.fail
	}
	return copy(s.data[off:], p), nil
}

func TestWriteAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := make([]byte, 1<<20+5)
		for i := range p {
			p[i] = byte(rand.IntN(256))
		}
		asked := ""
		b := NewBucket(100 << 10)
		m := &Meter{Writes: func(_ context.Context, store string) (Flow, error) {
			asked = store
			return Flow{b}, nil
		}}
		ctx := With(t.Context(), m)
		s := &sink{data: make([]byte, len(p)+7)}
		begun := time.Now()
		n, err := WriteAt(ctx, "fast", s, p, 7)
		if n != len(p) || err != nil || !bytes.Equal(s.data[7:], p) || asked != "fast" {
			t.Errorf("wrote %d bytes to %q: %v", n, asked, err)
		}
		if took := time.Since(begun).Seconds(); took < 9 || took > 11 {
			t.Errorf("a MiB at 100 KiB a second took %.1f s", took)
		}
		if most := len(p)/leastWrite + 1; s.calls > most {
			t.Errorf("%d writes, want %d at most", s.calls, most)
		}
		if !m.Waits() || m.Waits() {
			t.Error("the meter does not tell that it was waited for, or tells it twice")
		}
		s = &sink{data: s.data, fail: errors.New("no")}
		if n, err := WriteAt(ctx, "fast", s, p, 0); n < leastWrite || n > 2*leastWrite || err != s.fail {
			t.Errorf("wrote %d bytes: %v", n, err)
		}
		broken := errors.New("broken")
		m.Writes = func(context.Context, string) (Flow, error) { return nil, broken }
		if n, err := WriteAt(ctx, "fast", s, p, 0); n != 0 || err != broken {
			t.Errorf("wrote %d bytes: %v", n, err)
		}
	})
}

func TestWithoutMeter(t *testing.T) {
	s := &sink{data: make([]byte, 3)}
	if n, err := WriteAt(t.Context(), "x", s, []byte("abc"), 0); n != 3 || err != nil || string(s.data) != "abc" {
		t.Errorf("wrote %d: %v", n, err)
	}
	if n, err := Admit(t.Context(), 1<<30); n != 1<<30 || err != nil {
		t.Errorf("admitted %d: %v", n, err)
	}
	Return(t.Context(), 5)
	if (*Meter)(nil).Waits() {
		t.Error("nobody waits")
	}
}

func TestAdmitAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		narrow, wide := NewBucket(1<<20), NewBucket(8<<20)
		ctx := With(t.Context(), &Meter{Reads: Flow{narrow, wide}})
		begun := time.Now()
		if err := AdmitAll(ctx, 20<<20); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun).Seconds(); took < 19 || took > 20.5 {
			t.Errorf("20 MiB at a MiB a second took %.1f s", took)
		}
		if a, b := narrow.Use().Bytes, wide.Use().Bytes; a != 20<<20 || b != a {
			t.Errorf("counted %d and %d", a, b)
		}
		ctx, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if err := AdmitAll(ctx, 20<<20); err != context.DeadlineExceeded {
			t.Errorf("ended with %v", err)
		}
	})
}
