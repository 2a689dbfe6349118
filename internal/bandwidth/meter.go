package bandwidth

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
)

// A Flow is the budgets that bytes are of at once, the narrowest first: what waits for
// one of them has then taken nothing yet of what more have in common.
type Flow []*Bucket

// take waits until some of n bytes are within all budgets, and returns how many.
func (f Flow) take(ctx context.Context, n int) (int, error) {
	for _, b := range f {
		n = b.piece(n)
	}
	if n == 0 {
		return 0, nil
	}
	for i, b := range f {
		if err := b.Take(ctx, n); err != nil {
			f[:i].give(n)
			return 0, err
		}
	}
	return n, nil
}

func (f Flow) give(n int) {
	for _, b := range f {
		b.Give(n)
	}
}

// A Meter is what holds for the bytes of one step.
type Meter struct {
	// Reads are the budgets of what is read from sources.
	Reads Flow
	// Writes returns those of what is written to the named store; nil is none.
	Writes func(ctx context.Context, store string) (Flow, error)

	waiting atomic.Int64 // for a budget
	passed  atomic.Int64 // pieces that were admitted
}

// Waits reports whether somebody waits for a budget, or was let go on since the last
// call: no standing still of the step's own.
func (m *Meter) Waits() bool { return m != nil && (m.waiting.Load() > 0 || m.passed.Swap(0) > 0) }

func (m *Meter) take(ctx context.Context, f Flow, n int) (int, error) {
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	n, err := f.take(ctx, n)
	if n > 0 {
		m.passed.Add(1)
	}
	return n, err
}

type meterKey struct{}

// With returns a context whose reads and writes are metered.
func With(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func of(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// Admit waits until bytes may be read from a source, and returns how many: n of them, or
// fewer where there is a limit. What does not come is for Return. They are also of the
// budgets that are named, wider ones than those of the context.
func Admit(ctx context.Context, n int, also ...*Bucket) (int, error) {
	m := of(ctx)
	switch f := reads(m, also); {
	case len(f) == 0:
		return n, nil
	case m == nil:
		return f.take(ctx, n)
	default:
		return m.take(ctx, f, n)
	}
}

// reads are the budgets of what is read.
func reads(m *Meter, also []*Bucket) Flow {
	switch {
	case m == nil || len(m.Reads) == 0:
		return also
	case len(also) == 0:
		return m.Reads
	}
	return slices.Concat(m.Reads, also)
}

// AdmitAll waits until all of n bytes may be read.
func AdmitAll(ctx context.Context, n int) error {
	for n > 0 {
		got, err := Admit(ctx, n)
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}

// Return gives back what was admitted and did not come.
func Return(ctx context.Context, n int, also ...*Bucket) {
	if n > 0 {
		reads(of(ctx), also).give(n)
	}
}

// leastWrite is the least that a limited write is cut into: stores write no less at once
// than their blocks.
const leastWrite = 64 << 10

// WriteAt writes p into a store as its budget allows.
func WriteAt(ctx context.Context, store string, w io.WriterAt, p []byte, off int64) (int, error) {
	m := of(ctx)
	if m == nil || m.Writes == nil {
		return w.WriteAt(p, off)
	}
	flow, err := m.Writes(ctx, store)
	if err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := m.admitWrite(ctx, flow, len(p)-done)
		if err != nil {
			return done, err
		}
		n, err = w.WriteAt(p[done:done+n], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// admitWrite waits until some of n bytes may be written, and no fewer than leastWrite
// unless there are fewer.
func (m *Meter) admitWrite(ctx context.Context, f Flow, n int) (int, error) {
	sum := 0
	for {
		got, err := m.take(ctx, f, n-sum)
		if err != nil {
			f.give(sum)
			return 0, err
		}
		if sum += got; sum >= min(n, leastWrite) {
			return sum, nil
		}
	}
}
