package exporttest

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"ingest/exports"
	"ingest/internal/errcode"
	"ingest/stores"
)

// A Fixture is one destination, at which nothing is yet.
type Fixture struct {
	Driver exports.Driver
	URL    string
	// Read returns what is at the destination, ok false if there is nothing.
	Read func() (content []byte, ok bool)
	// Place puts content there, as somebody else does; nil removes what is there.
	Place func(content []byte)
	// Left lists what attempts have left beside the destination, or below it.
	Left func() []string
	// Inject has so many requests that write fail, behind some that do not; of the fault
	// None there are no more. nil if no server is asked.
	Inject func(fault Fault, skip, times int)
	// Sent counts the bytes that a server was sent; nil if nobody does.
	Sent func() int64
	// Part is the size around which others are tried, bytes.
	Part int
	// Blind says that what is at the destination cannot be looked at before it is sent, or
	// afterwards.
	Blind bool
}

// Run runs the suite. make returns a fresh destination; what it needs is released by
// tb.Cleanup.
func Run(t *testing.T, make func(tb testing.TB) Fixture) {
	for _, tt := range []struct {
		name string
		run  func(*fixture)
	}{
		{"sizes", testSizes},
		{"what exists is refused", testExists},
		{"what appears meanwhile is refused", testAppears},
		{"what exists is replaced", testOverwrite},
		{"what was cut off goes on", testGoesOn},
		{"other bytes are not spliced", testOtherBytes},
		{"what was given up leaves nothing", testAbort},
		{"what is done is done once", testAgain},
		{"what was taken away is sent again", testTakenAway},
		{"read back and removed", testReadBack},
		{"a wrong size is not committed", testWrongSize},
		{"a server that is busy", testBusy},
		{"a connection that breaks", testBroken},
		{"an answer that is lost", testLost},
		{"a server that refuses", testForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fixture{TB: t, Fixture: make(t)}
			f.to = exports.Destination{URL: f.URL, Project: "p", Task: uuid.NewString()}
			tt.run(f)
		})
	}
}

// A fixture is a destination and what one task knows of it.
type fixture struct {
	testing.TB
	Fixture
	to     exports.Destination
	memory []byte
}

// Content returns n bytes that repeat nowhere near.
func Content(n int, seed uint32) []byte {
	p := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
	}
	return p
}

// A content is a finished file.
type content struct{ *bytes.Reader }

// send makes one attempt of the task. seen is told how many bytes are there.
func (f *fixture) send(ctx context.Context, p []byte, seen func(done int64)) error {
	f.Helper()
	if seen == nil {
		seen = func(int64) {}
	}
	target, err := f.Driver.Open(ctx, f.to, f.memory)
	if err != nil {
		return err
	}
	switch to := target.(type) {
	case exports.Writable:
		err = f.write(ctx, to.Upload(), p, seen)
	case exports.Receiver:
		var tap bytes.Buffer
		err = to.Send(ctx, exports.Sending{Content: content{bytes.NewReader(p)}, Tap: &tap, Observe: seen,
			Remember: func(m []byte) error { f.memory = bytes.Clone(m); return nil }})
		if err == nil && !bytes.Equal(tap.Bytes(), p) {
			f.Errorf("the tap was given %d bytes that are not the content's %d", tap.Len(), len(p))
		}
	default:
		f.Fatalf("%T takes nothing", target)
	}
	return errors.Join(err, target.Close())
}

// step is how much is written between two checkpoints, bytes.
const step = 256 << 10

// write writes what a note does not vouch for.
func (f *fixture) write(ctx context.Context, up stores.Upload, p []byte, seen func(int64)) error {
	f.Helper()
	if _, sealed := up.Sealed(); !sealed {
		off, _ := strconv.Atoi(string(up.Note()))
		for off < len(p) {
			n := min(step, len(p)-off)
			if _, err := up.WriteAt(p[off:off+n], int64(off)); err != nil {
				return err
			}
			off += n
			seen(int64(off))
			if err := up.Checkpoint(ctx, []byte(strconv.Itoa(off))); err != nil {
				return err
			}
		}
		if err := up.Seal(ctx, int64(len(p))); err != nil {
			return err
		}
	}
	if _, err := up.WriteAt([]byte{1}, 0); err == nil {
		f.Error("what is sealed was written to")
	}
	r, err := up.ReaderAt()
	if err != nil {
		return err
	}
	got := make([]byte, len(p))
	if n, _ := r.ReadAt(got, 0); n != len(p) || !bytes.Equal(got, p) {
		f.Errorf("%d bytes are read before the commit, which are not the %d written", n, len(p))
	}
	return up.Commit(ctx, stores.Digest{Size: int64(len(p))})
}

// sent makes an attempt that must succeed, and looks at the destination.
func (f *fixture) sent(p []byte) {
	f.Helper()
	if err := f.send(f.Context(), p, nil); err != nil {
		f.Fatalf("%d bytes: %v", len(p), err)
	}
	f.holds(p)
}

func (f *fixture) holds(want []byte) {
	f.Helper()
	got, ok := f.Read()
	if !ok || !bytes.Equal(got, want) {
		f.Errorf("the destination has %d bytes (%v), which are not the %d sent", len(got), ok, len(want))
	}
}

func (f *fixture) holdsNothing() {
	f.Helper()
	if got, ok := f.Read(); ok {
		f.Errorf("there are %d bytes at the destination", len(got))
	}
}

// tidy aborts what the task has left, as its cleanup does, and looks that nothing is.
func (f *fixture) tidy() {
	f.Helper()
	to := f.to
	to.Overwrite = true
	for range 2 {
		target, err := f.Driver.Open(f.Context(), to, f.memory)
		if err != nil {
			f.Fatal(err)
		}
		if err := errors.Join(target.Abort(f.Context()), target.Close()); err != nil {
			f.Fatal(err)
		}
	}
	if left := f.Left(); len(left) > 0 {
		f.Errorf("left: %q", left)
	}
}

func (f *fixture) refused(err error, want errcode.Code) {
	f.Helper()
	if got := errcode.Of(err); got != want {
		f.Errorf("got %q (%v), want %q", got, err, want)
	}
}

// other is a destination as another task has it.
func (f *fixture) other() *fixture {
	out := *f
	out.memory, out.to.Task = nil, uuid.NewString()
	return &out
}
