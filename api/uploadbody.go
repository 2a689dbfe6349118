package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// A keptUpload keeps an upload alive in the catalogue for as long as it is received,
// and ends it when the catalogue says so: its image was deleted, it was given up.
type keptUpload struct {
	ctx  context.Context
	stop context.CancelCauseFunc
	row  metadata.Upload

	began    time.Time
	a        *api
	mu       sync.Mutex
	promised int64
}

func keepUpload(ctx context.Context, a *api, row metadata.Upload) *keptUpload {
	k := &keptUpload{a: a, row: row, began: time.Now().UTC().Truncate(time.Microsecond), promised: row.Bytes}
	k.ctx, k.stop = context.WithCancelCause(ctx)
	go k.run()
	return k
}

// run touches the upload from time to time. A catalogue that does not answer for a
// while ends nothing: who gives uploads up waits much longer.
func (k *keptUpload) run() {
	tick := time.NewTicker(k.a.UploadLimits.Keep)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
		k.mu.Lock()
		err := k.keep(0)
		k.mu.Unlock()
		if code := errcode.Of(err); code == errcode.Gone || code == errcode.Conflict {
			k.stop(err)
		}
	}
}

// keep says that the upload is still received, and asks for so many bytes. The caller
// holds mu.
func (k *keptUpload) keep(bytes int64) error {
	keep := func(row metadata.Upload) error { return k.a.Catalogue.KeepUpload(k.ctx, row, max(k.promised, bytes)) }
	if bytes <= k.promised {
		return keep(k.row)
	}
	err := k.a.promise(k.ctx, k.row, keep)
	if err == nil {
		k.promised = max(k.promised, bytes)
	}
	return err
}

// Bounds of what is asked for at once for a body whose length is not known.
const (
	firstPromise = 4 << 20
	mostPromise  = 256 << 20
)

// promise has it recorded what an upload is promised, with what its place has left.
func (a *api) promise(ctx context.Context, row metadata.Upload, record func(metadata.Upload) error) error {
	if a.Space == nil {
		return record(row)
	}
	return a.Space.Promise(ctx, row.Reservation(), func(room metadata.Room) error {
		row.Left = &room
		return record(row)
	})
}

// reach asks for room for the bytes up to end. Where the next step does not fit, just
// what is needed may.
func (k *keptUpload) reach(end int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if end <= k.promised {
		return context.Cause(k.ctx)
	}
	step := max(end, k.promised+min(max(k.promised, firstPromise), mostPromise))
	err := k.keep(step)
	if code := errcode.Of(err); step > end && (code == errcode.QuotaExceeded || code == errcode.NoSpace) {
		err = k.keep(end)
	}
	return err
}

// A steadyBody is a request's body whose client has to keep sending.
type steadyBody struct {
	io.Reader
	ctx   context.Context
	stall time.Duration
	conn  *http.ResponseController
}

// Read reads on. A read deadline that cannot be set, as in tests without a connection,
// is none.
func (b *steadyBody) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	_ = b.conn.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.Reader.Read(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		// Behind the body the connection is watched for the client's going. A deadline that
		// passes then would end this request's context, and that of all that follow on it.
		_ = b.conn.SetReadDeadline(time.Time{})
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, errcode.New(errcode.UploadStalled, "nothing came for %v", b.stall)
	}
	return n, errcode.Wrap(err, errcode.UploadCutOff, "the connection ended before the upload did")
}

// Bounds of what is read behind an upload that was refused.
const (
	drainBytes = 256 << 20
	drainTime  = 10 * time.Second
)

// takeBody runs a handler that reads a large body, and answers 204 if it succeeds. Many
// clients read the answer only once they have sent everything, and take a connection
// that is closed on them for a fault of the network: after a refusal, the answer is
// sent first, and then what still comes is read for a while.
func (a *api) takeBody(w http.ResponseWriter, r *http.Request, take func(conn *http.ResponseController) error) error {
	conn := http.NewResponseController(w)
	_ = conn.EnableFullDuplex()
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	err := take(conn)
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Connection", "close")
	a.fail(w, r, err)
	if code := errcode.Of(err); code == errcode.UploadCutOff || code == errcode.UploadStalled || conn.Flush() != nil {
		return nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, drainBytes))
	return nil
}

// A counted set of projects bounds how many things of each are under way.
type counted struct {
	mu sync.Mutex
	n  map[string]int
}

// enter counts one more, until leave is called. most < 0 is any number.
func (c *counted) enter(project string, most int) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most >= 0 && c.n[project] >= most {
		return nil, errcode.New(errcode.UploadsAtOnce, "project %q sends %d images at once already", project, most)
	}
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[project]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n[project]--; c.n[project] == 0 {
			delete(c.n, project)
		}
	}, nil
}
