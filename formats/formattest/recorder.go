package formattest

import (
	"context"
	"errors"
	"testing"

	"ingest/formats"
)

// A Recorder is a sink that keeps an encoder's output in memory. It fails the
// test unless the writes are what formats.Encoder promises: ascending from the
// head's end without gaps, and behind the last of them the head, ascending and
// without gaps too. So a byte that an earlier attempt left behind is always
// overwritten.
type Recorder struct {
	// Bytes is the output; its head is not meaningful until Done.
	Bytes []byte
	// Keep, if set, is asked at every checkpoint whether to take it into Taken.
	Keep  func() bool
	Taken []formats.Checkpoint
	// Stop, if set, is what Checkpoint answers.
	Stop error

	t     testing.TB
	head  int64 // length of what is written last, bytes
	pos   int64 // output offset behind the last write after the head
	hpos  int64 // how much of the head is written
	crash int64 // how many more bytes are taken before crashed, -1 for all
	codec string
	err   error // what ended the writing
}

var _ formats.Sink = (*Recorder)(nil)

// errCrash ends an encoding as the death of its process would.
var errCrash = errors.New("crashed")

// NewRecorder returns an empty recorder for the encoder's output from a source.
func NewRecorder(t testing.TB, e formats.Encoder, src formats.Disk) *Recorder {
	head := e.Head(src.Size())
	return &Recorder{t: t, head: head, pos: head, crash: -1, codec: e.Codec(), Bytes: make([]byte, head)}
}

// Record runs the encoder from the start to the end. keep may be nil.
func Record(t testing.TB, e formats.Encoder, src formats.Disk, keep func() bool) (*Recorder, formats.Summary) {
	t.Helper()
	r := NewRecorder(t, e, src)
	r.Keep = keep
	sum, err := e.Encode(t.Context(), r, src, formats.Checkpoint{})
	if err != nil {
		t.Fatalf("encode %s: %v", e.Codec(), err)
	}
	if !r.Done() {
		t.Fatalf("%s: %d of the head's %d bytes are written", e.Codec(), r.hpos, r.head)
	}
	if sum.FileSize != int64(len(r.Bytes)) {
		t.Fatalf("%s: summary %+v of %d bytes", e.Codec(), sum, len(r.Bytes))
	}
	return r, sum
}

// Resumed returns a recorder as the crash of r's process leaves it: what was
// written before the checkpoint is there, the head is garbage.
func (r *Recorder) Resumed(cp formats.Checkpoint) *Recorder {
	at := max(cp.HostOff, r.head)
	next := &Recorder{t: r.t, head: r.head, pos: at, crash: -1, codec: r.codec, Bytes: make([]byte, at, len(r.Bytes)+1)}
	copy(next.Bytes, r.Bytes[:at])
	for i := range next.Bytes[:r.head] {
		next.Bytes[i] = 0xDB
	}
	return next
}

// Done reports whether the head is written whole.
func (r *Recorder) Done() bool { return r.hpos == r.head }

// WriteAt takes the next bytes.
func (r *Recorder) WriteAt(p []byte, off int64) (int, error) {
	r.t.Helper()
	if r.err != nil {
		r.t.Fatalf("write of %d bytes at %d after a write that failed", len(p), off)
	}
	if r.crash >= 0 {
		if r.crash -= int64(len(p)); r.crash < 0 {
			r.err = errCrash
			return 0, r.err
		}
	}
	switch {
	case off < r.head:
		if off != r.hpos || int64(len(p)) > r.head-off {
			r.t.Fatalf("write of %d bytes at %d, the head of %d bytes is written up to %d", len(p), off, r.head, r.hpos)
		}
		copy(r.Bytes[off:], p)
		r.hpos += int64(len(p))
	case r.hpos > 0:
		r.t.Fatalf("write of %d bytes at %d after the head", len(p), off)
	case off != r.pos:
		r.t.Fatalf("write of %d bytes at %d, the output ends at %d", len(p), off, r.pos)
	default:
		r.Bytes = append(r.Bytes, p...)
		r.pos += int64(len(p))
	}
	return len(p), nil
}

// Checkpoint takes one in the way that Keep and Stop say.
func (r *Recorder) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	r.t.Helper()
	if r.Keep != nil && r.Keep() {
		cp := state()
		cp.State = append([]byte(nil), cp.State...)
		if cp.HostOff < r.head || cp.HostOff > r.pos || cp.Off <= 0 || cp.Codec != r.codec {
			r.t.Fatalf("checkpoint at guest offset %d, output offset %d, of codec %q; written are %d by %q",
				cp.Off, cp.HostOff, cp.Codec, r.pos, r.codec)
		}
		if n := len(r.Taken); n > 0 && cp.Off <= r.Taken[n-1].Off {
			r.t.Fatalf("checkpoint at guest offset %d after one at %d", cp.Off, r.Taken[n-1].Off)
		}
		r.Taken = append(r.Taken, cp)
	}
	return r.Stop
}
