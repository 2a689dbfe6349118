package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"sync"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/internal/lru"
)

// A heading is what of a file is known only once all of it was made, and stands at its
// begin: the header of a qcow2 says where the tables are, which lie behind the data.
type heading struct {
	head []byte // without the zeros at its end
	size int64  // of the file, bytes
}

// headingsKept is how many headings a pipeline remembers: some hundred bytes each for
// qcow2, and some kilobytes for an OVA.
const headingsKept = 256

// headings are those that were found out, by what the file is made of.
type headings struct {
	mu    sync.Mutex
	known *lru.Map[string, heading]
}

func (h *headings) get(key string) (heading, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		return heading{}, false
	}
	return h.known.Get(key)
}

func (h *headings) put(key string, head heading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = lru.New[string, heading](headingsKept)
	}
	h.known.Put(key, head)
}

func (h *headings) drop(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known != nil {
		h.known.Delete(key)
	}
}

// Stream makes the whole file and writes it from its begin to its end. begin is called
// before the first byte, with the length, or -1 where that turns out with the last one.
// After an error, what was written is not the file.
//
// An encoder that writes its head last runs twice, since nothing of the file is kept: once
// to learn the head, and once to send what follows it. The same disk gives the same bytes,
// and is held to that. Heads that are known spare the next download the first run.
func (r *Rendering) Stream(w io.Writer, begin func(size int64)) error {
	n := r.encoder.Head(r.disk.Size())
	if n == 0 {
		return r.forward(&onward{w: &beginner{w: w, begin: begin}}, -1)
	}
	key := r.headingKey()
	known, ok := r.p.headings.get(key)
	if !ok {
		var err error
		if known, err = r.heading(n); err != nil {
			return err
		}
		r.p.headings.put(key, known)
	}
	begin(known.size)
	head := append(known.head[:len(known.head):len(known.head)], make([]byte, n-int64(len(known.head)))...)
	if _, err := w.Write(head); err != nil {
		return err
	}
	err := r.forward(&onward{w: w, head: head, pos: n}, known.size)
	if errcode.Of(err) == errcode.VerifyMismatch {
		r.p.headings.drop(key) // of bytes that are others now
	}
	return err
}

// headingKey names what decides about a file's bytes: the objects, which never change
// under their keys, and the codec with its options.
func (r *Rendering) headingKey() string {
	parts := []string{r.encoder.Codec(), r.target.Format, string(r.disk.Info().Format), strconv.FormatInt(r.disk.Size(), 10)}
	for _, at := range r.stored.from {
		parts = append(parts, at.Store, at.Key)
	}
	return strings.Join(parts, "\x00")
}

// heading runs the encoder for the head and the length of what it writes.
func (r *Rendering) heading(n int64) (heading, error) {
	sink := &headOnly{head: make([]byte, n)}
	sum, err := r.encode(sink)
	if err != nil {
		return heading{}, err
	}
	return heading{bytes.Clone(bytes.TrimRight(sink.head, "\x00")), sum.FileSize}, nil
}

// streamBuffer gathers what encoders write in small pieces, bytes.
const streamBuffer = 256 << 10

// forward runs the encoder into a sink that sends what it is given. The file has to come
// to size bytes, if that is known.
func (r *Rendering) forward(to *onward, size int64) error {
	buf := bufio.NewWriterSize(to.w, streamBuffer)
	to.w = buf
	sum, err := r.encode(to)
	if err == nil {
		err = to.reach(sum.FileSize)
	}
	if err == nil && size >= 0 && (sum.FileSize != size || !to.headed) {
		err = otherFile()
	}
	if err != nil {
		return err
	}
	return buf.Flush()
}

// A beginner tells of the first byte, behind which an error cannot be answered any more.
type beginner struct {
	w     io.Writer
	begin func(size int64)
}

func (b *beginner) Write(p []byte) (int, error) {
	if b.begin != nil {
		b.begin(-1)
		b.begin = nil
	}
	return b.w.Write(p)
}

func (r *Rendering) encode(to formats.Sink) (formats.Summary, error) {
	return r.encoder.Encode(r.ctx, to, r.disk, formats.Checkpoint{})
}

// otherFile is the error of an encoder that makes other bytes than it made before.
func otherFile() error {
	return errcode.New(errcode.VerifyMismatch, "the stored bytes are others than they were: the file that is made of them is not the same any more")
}

// headOnly is a sink that keeps the first bytes alone.
type headOnly struct{ head []byte }

// WriteAt implements formats.Sink.
func (h *headOnly) WriteAt(p []byte, off int64) (int, error) {
	if off < int64(len(h.head)) {
		copy(h.head[off:], p)
	}
	return len(p), nil
}

// Checkpoint implements formats.Sink. There is nothing to come back to.
func (*headOnly) Checkpoint(context.Context, func() formats.Checkpoint) error { return nil }

// onward is a sink that sends an encoder's bytes, which ascend, as they come. Of those
// that were sent beforehand it makes sure that they are the same.
type onward struct {
	w      io.Writer
	head   []byte // that was sent already
	headed bool   // the encoder has written it
	pos    int64  // bytes that were sent
}

// WriteAt implements formats.Sink.
func (o *onward) WriteAt(p []byte, off int64) (int, error) {
	whole := len(p)
	if n := int64(len(o.head)); off < n {
		k := min(n-off, int64(len(p)))
		if !bytes.Equal(p[:k], o.head[off:off+k]) {
			return 0, otherFile()
		}
		o.headed = true
		p, off = p[k:], off+k
	}
	if len(p) == 0 {
		return whole, nil
	}
	if off < o.pos {
		return 0, errcode.New(errcode.Internal, "an encoder goes back from %d to %d", o.pos, off)
	}
	if err := o.reach(off); err != nil {
		return 0, err
	}
	n, err := o.w.Write(p)
	o.pos += int64(n)
	if err != nil {
		return 0, err
	}
	return whole, nil
}

// Checkpoint implements formats.Sink. There is nothing to come back to.
func (*onward) Checkpoint(context.Context, func() formats.Checkpoint) error { return nil }

// reach sends zeros up to an offset: encoders leave them out.
func (o *onward) reach(off int64) error {
	if off < o.pos {
		return otherFile()
	}
	zeros := make([]byte, min(off-o.pos, 64<<10))
	for o.pos < off {
		n, err := o.w.Write(zeros[:min(off-o.pos, int64(len(zeros)))])
		o.pos += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}
