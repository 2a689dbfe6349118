package detect

import (
	"context"
	"errors"
	"io"
	"reflect"
	"sync/atomic"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// HeadBytes is how much of a stream Head should be given: all that a format is
// recognised by but for the last bytes, and the header and first tables of what
// usual writers make. Less is allowed, and decides less.
const HeadBytes = volumeOff + 4<<10

// A Stream is what is known of a file of which only the first bytes are there.
type Stream struct {
	Size     int64        // of the whole file, bytes; -1 if not known
	Declared formats.Name // as in Options
	Limits   formats.Limits
	// Members says that the image has other files, which are not there. Only
	// the magics are judged then: a header that cannot be read alone may be
	// sound with them.
	Members bool
	// Layers are the outer layers that the caller takes off before Detect. A
	// file in one of them needs its rest.
	Layers []formats.Name
}

// errRest says that the bytes that are there do not decide.
var errRest = errors.New("detect: the rest of the file is needed")

// Head judges a file by its first bytes, so that one that is to be refused need
// not be sent whole. An error refuses the file, with the report that says why:
// whatever follows, Detect refuses it too, and with the same code, unless the
// last bytes make the file something else besides. Without an error the rest is
// needed: the report holds what is known, is not safe, and Detect decides.
//
// If the context ends first, the rest is needed.
//
// What only the last bytes tell is never decided here: a file declared raw may
// prove to be a fixed VHD, and the other way round.
func (d *Detector) Head(ctx context.Context, head []byte, s Stream) (Report, error) {
	if s.Size >= 0 {
		head = head[:min(int64(len(head)), s.Size)]
	}
	if s.Size != 0 && len(head) < formats.HeadLen && s.partial(head) {
		return d.undecided(head, s), nil
	}
	var first Report
	var refusal error
	for i, guess := range s.guesses(head) {
		rep, err := d.suppose(ctx, head, s, guess)
		switch {
		case errors.Is(err, errRest):
			return d.undecided(head, s), nil
		case i == 0:
			first, refusal = rep, err
		case !sameRefusal(refusal, err):
			return d.undecided(head, s), nil
		}
	}
	first.refuse(refusal)
	return first, refusal
}

// partial reports whether the file goes on behind head.
func (s Stream) partial(head []byte) bool { return s.Size < 0 || s.Size > int64(len(head)) }

// A guess is what is supposed about a file that goes on: its size, and, if it
// begins with a VHD's footer, its end.
type guess struct {
	size int64
	end  []byte
}

// guesses returns suppositions that stand for all others: a reader that refuses
// a file for the same reason under each of them, without having read what is
// not there, refuses it for something in the head. A check that involves the
// size of the file passes for the largest one or for the smallest, or names it
// in its error, which then differs. A VHD's reader looks at the last sector
// before it judges the first: what stands there is no footer, a copy of the first
// (both are guesses), or contradicts it, which refuses the file as well.
func (s Stream) guesses(head []byte) []guess {
	if !s.partial(head) {
		return []guess{{s.Size, nil}}
	}
	sizes := []int64{s.Size}
	if s.Size < 0 {
		least := int64(len(head)) + 1
		sizes = []int64{max(least, s.Limits.VirtualSize), least}
	}
	var out []guess
	for _, size := range sizes {
		out = append(out, guess{size, head[:footerBytes]}, guess{size, make([]byte, footerBytes)})
	}
	return out
}

// footerBytes is the length of a VHD's footer.
const footerBytes = 512

// suppose inspects the file under a guess. It returns errRest unless the head
// alone refuses it.
func (d *Detector) suppose(ctx context.Context, head []byte, s Stream, g guess) (Report, error) {
	in := d.inspectHead(head, s)
	in.w.size = g.size
	if g.size == 0 {
		return in.report, in.report.fail("file size", errcode.New(errcode.Empty, "the file has no bytes"))
	}
	c, err := in.decide()
	if err != nil {
		return in.report, err
	}
	if s.Members {
		return in.report, errRest
	}
	r := &headReader{head: head, size: g.size}
	if c.name == formats.VHD {
		r.end = g.end
	}
	disk, err := in.open(r, c)
	if err == nil {
		err = in.examine(ctx, disk, c)
		disk.Close()
	}
	if err == nil || r.beyond.Load() || ctx.Err() != nil {
		return in.report, errRest
	}
	return in.report, err
}

// inspectHead begins an inspection of a file's first bytes.
func (d *Detector) inspectHead(head []byte, s Stream) *inspection {
	in := &inspection{
		Detector: d, declared: canonical(s.Declared), opt: Options{Declared: s.Declared, Limits: s.Limits},
		report: newReport(s.Size), partial: s.partial(head), layers: s.Layers,
		w: window{size: s.Size, head: head[:min(len(head), formats.HeadLen)]},
	}
	if !in.partial {
		in.w.tail = head[max(0, len(head)-formats.TailLen):]
	}
	if len(head) >= volumeOff+4 {
		in.w.volume = head[volumeOff : volumeOff+4]
	}
	switch {
	case s.Size > 0:
		in.report.pass("file size", "%d bytes", s.Size)
	case s.Size < 0:
		in.report.skip("file size", "not known yet")
	}
	return in
}

// undecided reports what the head's magics tell of a file whose rest is needed.
func (d *Detector) undecided(head []byte, s Stream) Report {
	in := d.inspectHead(head, s)
	if _, err := in.decide(); err != nil && !errors.Is(err, errRest) {
		in = d.inspectHead(head, s) // it did not hold under every guess
	}
	in.report.skip("whole file", "%d bytes do not decide: the rest is needed", len(head))
	return in.report
}

// sameRefusal reports whether two errors tell the same with the same evidence.
func sameRefusal(a, b error) bool {
	x, ok := errcode.As(a)
	y, too := errcode.As(b)
	return ok && too && x.Code == y.Code && x.Message == y.Message && reflect.DeepEqual(x.Evidence, y.Evidence)
}

// knownByTail reports whether a format may show itself by the last bytes only.
func knownByTail(n formats.Name) bool {
	return n == formats.VHD || n == formats.DMG || n == "zip"
}

// A headReader reads a file of which only the first bytes are there. It notes
// when others are asked for: what a reader answers after that means nothing.
type headReader struct {
	head   []byte
	size   int64
	end    []byte // the supposed last bytes, nil for none
	beyond atomic.Bool
}

// ReadAt returns errRest for bytes that are not there.
func (r *headReader) ReadAt(p []byte, off int64) (int, error) {
	have := int64(len(r.head))
	end, err := binio.Add(off, int64(len(p)))
	switch {
	case off < 0 || err != nil:
		return 0, errors.New("detect: read outside the file")
	case off >= r.size:
		return 0, io.EOF
	case end <= have:
		return copy(p, r.head[off:]), nil
	case have >= r.size: // the whole file is there
		return copy(p, r.head[off:r.size]), io.EOF
	}
	if tail := r.size - int64(len(r.end)); r.end != nil && off >= tail {
		n := copy(p, r.end[off-tail:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	r.beyond.Store(true)
	return 0, errRest
}
