package put

import (
	"context"
	"encoding/json"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"sync"

	"ingest/exports"
	"ingest/internal/errcode"
)

// A Request is a PUT without its body, and who sends it.
type Request struct {
	*http.Request
	Sender http.RoundTripper
	Shown  string // its URL, without what may be secret
}

// A Driver exports to web servers.
type Driver struct {
	build func(ctx context.Context, d exports.Destination) (Request, error)
}

var _ exports.Driver = (*Driver)(nil)

// New returns a driver. build makes the request for a destination, signed as its
// credential says, within the rules for addresses.
func New(build func(ctx context.Context, d exports.Destination) (Request, error)) *Driver {
	return &Driver{build}
}

// Schemes returns both.
func (d *Driver) Schemes() []string { return []string{"http", "https"} }

// Open judges the destination. Nothing is sent before Send.
func (d *Driver) Open(ctx context.Context, to exports.Destination, kept []byte) (exports.Target, error) {
	r, err := d.build(ctx, to)
	if err != nil {
		return nil, err
	}
	t := &target{r: r, force: to.Overwrite}
	if len(kept) > 0 && json.Unmarshal(kept, &t.taken) != nil {
		t.taken = receipt{}
	}
	return t, nil
}

type target struct {
	r     Request
	force bool
	taken receipt
}

// A receipt is what a server has said that it has taken: an attempt that was killed behind
// its answer need not send again, and would be told that something is there.
type receipt struct {
	Taken bool   `json:"taken"`
	Size  int64  `json:"size"` // bytes
	CRC   uint32 `json:"crc"`  // CRC-32C of them
}

var _ exports.Receiver = (*target)(nil)

// Shown is the URL without its query.
func (t *target) Shown() string { return t.r.Shown }

// Send sends the content in one request, unless it was taken already.
func (t *target) Send(ctx context.Context, s exports.Sending) error {
	if t.taken.Taken && t.taken.Size == s.Size() {
		same, err := t.isTaken(ctx, s)
		if same || err != nil {
			return err
		}
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	b := &body{ctx: ctx, r: io.NewSectionReader(s, 0, s.Size()), s: s, sum: sum}
	if err := t.exchange(ctx, s.Size(), b); err != nil {
		return err
	}
	if done := b.end(); done != s.Size() {
		return errcode.New(errcode.DestinationUnreachable, "the destination answered when it had %d of %d bytes", done, s.Size())
	}
	raw, err := json.Marshal(receipt{true, s.Size(), sum.Sum32()})
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write a note")
	}
	return s.Remember(raw)
}

// isTaken reports whether the content is what the server has taken, whose bytes the tap is
// given then.
func (t *target) isTaken(ctx context.Context, s exports.Sending) (bool, error) {
	for _, to := range []io.Writer{io.Discard, s.Tap} {
		sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(to, sum)}, exports.Until(ctx, io.NewSectionReader(s, 0, s.Size())), make([]byte, 1<<20)); err != nil {
			return false, err
		}
		if sum.Sum32() != t.taken.CRC {
			return false, nil
		}
	}
	s.Observe(s.Size())
	return true, nil
}

// exchange makes the request.
func (t *target) exchange(ctx context.Context, size int64, b *body) error {
	defer b.end()
	req := t.r.Request.Clone(ctx)
	req.ContentLength = size
	req.Body = http.NoBody
	if size > 0 {
		req.Body = b
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if !t.force {
		req.Header.Set("If-None-Match", "*") // a server that knows it keeps what it has
	}
	resp, err := t.r.Sender.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e, ok := errcode.As(err); ok && e.Code == errcode.SourceAddrBlocked {
			return err
		}
		return errcode.Wrap(err, errcode.DestinationUnreachable, "the destination could not be reached, or did not take all bytes")
	}
	defer resp.Body.Close()
	return statusError(resp.StatusCode)
}

func statusError(status int) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusPreconditionFailed || status == http.StatusConflict:
		return errcode.New(errcode.DestinationExist, "the destination exists")
	case status == http.StatusNotFound || status == http.StatusGone:
		return errcode.New(errcode.DestinationMissing, "the server has no such place")
	case status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return errcode.New(errcode.DestinationUnreachable, "the destination answers with status %d", status)
	}
	return errcode.New(errcode.DestinationAuth, "the destination answers with status %d", status)
}

// A body is the content as it is sent. Whoever sends it may read on for a while when the
// answer is there already, and is given nothing any more.
type body struct {
	ctx context.Context
	r   *io.SectionReader
	s   exports.Sending
	sum hash.Hash32

	mu    sync.Mutex
	done  int64
	ended bool
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return 0, io.ErrClosedPipe
	}
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.r.Read(p)
	b.s.Tap.Write(p[:n])
	b.sum.Write(p[:n])
	if b.done += int64(n); n > 0 {
		b.s.Observe(b.done)
	}
	return n, err
}

func (b *body) Close() error { return nil }

// end ends the reading, and returns how many bytes were read.
func (b *body) end() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	return b.done
}

// Abort has nothing to remove: a request that was cut off has made nothing.
func (t *target) Abort(context.Context) error { return nil }

// Close does nothing.
func (t *target) Close() error { return nil }
