package formattest

import (
	"context"
	"errors"
	"testing"

	"ingest/formats"
)

// A Recorder is a sink that keeps an encoder's output in memory. It fails the
// test unless the writes are what formats.Encoder promises: they ascend from the
// head's end on, and behind the last of them comes the head, ascending too. What
// is left out is zeros.
type Recorder struct {
	// Bytes is the output so far.
	Bytes []byte
	// Keep, if set, is asked at every checkpoint whether to take it into Taken.
	Keep  func() bool
	Taken []formats.Checkpoint
	// Stop, if set, is what Checkpoint answers.
	Stop error

	t     testing.TB
	head  int64   // length of what is written last, bytes
	pos   int64   // output offset behind the last write after the head
	hpos  int64   // how far the head is written
	marks []int64 // pos at each of Taken
	base  int64   // pos at the begin
	crash int64   // how many more bytes are taken before errCrash, -1 for all
	codec string
	err   error // what ended the writing
}

var _ formats.Sink = (*Recorder)(nil)

// errCrash ends an encoding as the death of its process would.
var errCrash = errors.New("crashed")

// pageBytes is what a crash keeps or loses in one piece.
const pageBytes = 4096

// NewRecorder returns an empty recorder for the encoder's output from a source.
func NewRecorder(t testing.TB, e formats.Encoder, src formats.Disk) *Recorder {
	head := e.Head(src.Size())
	return &Recorder{t: t, head: head, pos: head, base: head, crash: -1, codec: e.Codec(), Bytes: make([]byte, head)}
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
		t.Fatalf("%s: the head of %d bytes is not written", e.Codec(), r.head)
	}
	r.seal(sum)
	return r, sum
}

// seal gives the output the size that the encoder has told.
func (r *Recorder) seal(sum formats.Summary) {
	r.t.Helper()
	if n := int64(len(r.Bytes)); n > sum.FileSize {
		r.t.Fatalf("%s: summary %+v, written are %d bytes", r.codec, sum, n)
	}
	r.grow(sum.FileSize)
}

// grow lengthens the output with zeros.
func (r *Recorder) grow(size int64) {
	if n := size - int64(len(r.Bytes)); n > 0 {
		r.Bytes = append(r.Bytes, make([]byte, n)...)
	}
}

// Resumed returns a recorder as a crash of r's process leaves its file for one
// that resumes at the checkpoint: all is there that was written before it, and
// of what was written since, some pages of the file.
func (r *Recorder) Resumed(cp formats.Checkpoint) *Recorder {
	mark := r.base
	for i, c := range r.Taken {
		if c.Off == cp.Off {
			mark = r.marks[i]
		}
	}
	next := &Recorder{t: r.t, head: r.head, pos: mark, base: mark, crash: -1, codec: r.codec, Bytes: make([]byte, len(r.Bytes))}
	for off := 0; off < len(r.Bytes); off += pageBytes {
		if page := uint32(off / pageBytes); page*2654435761>>16&1 == 1 {
			copy(next.Bytes[off:], r.Bytes[off:min(off+pageBytes, len(r.Bytes))])
		}
	}
	copy(next.Bytes[r.head:mark], r.Bytes[r.head:mark])
	return next
}

// Done reports whether the head has been written, or there is none.
func (r *Recorder) Done() bool { return r.head == 0 || r.hpos > 0 }

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
	end := off + int64(len(p))
	switch {
	case off < r.head:
		if off < r.hpos || end > r.head {
			r.t.Fatalf("write of %d bytes at %d, the head of %d bytes is written up to %d", len(p), off, r.head, r.hpos)
		}
		r.hpos = end
	case r.hpos > 0:
		r.t.Fatalf("write of %d bytes at %d after the head", len(p), off)
	case off < r.pos:
		r.t.Fatalf("write of %d bytes at %d, the output is written up to %d", len(p), off, r.pos)
	default:
		r.pos = end
	}
	r.grow(end)
	copy(r.Bytes[off:], p)
	return len(p), nil
}

// Checkpoint takes one in the way that Keep and Stop say.
func (r *Recorder) Checkpoint(_ context.Context, state func() formats.Checkpoint) error {
	r.t.Helper()
	if r.Keep != nil && r.Keep() {
		cp := state()
		cp.State = append([]byte(nil), cp.State...)
		if cp.HostOff < r.head || cp.Off <= 0 || cp.Codec != r.codec {
			r.t.Fatalf("checkpoint at guest offset %d, output offset %d, of codec %q; written are %d by %q",
				cp.Off, cp.HostOff, cp.Codec, r.pos, r.codec)
		}
		if n := len(r.Taken); n > 0 && cp.Off <= r.Taken[n-1].Off {
			r.t.Fatalf("checkpoint at guest offset %d after one at %d", cp.Off, r.Taken[n-1].Off)
		}
		r.Taken, r.marks = append(r.Taken, cp), append(r.marks, r.pos)
	}
	return r.Stop
}
