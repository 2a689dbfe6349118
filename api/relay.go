package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// A relay reads a range of an image that lies in several stores. When one fails,
// before the first byte or in the middle, the next goes on where it was.
type relay struct {
	ctx    context.Context
	blobs  Blobs
	places []metadata.Location // that have not been tried
	off    int64
	left   int64 // bytes
	body   io.ReadCloser
	log    zerolog.Logger
	at     metadata.Location // that body reads
}

// openImage opens n bytes of an image from off, in the store that is read first of
// those that answer. The error is that of the first one.
func (a *api) openImage(r *http.Request, img metadata.Image, off, n int64) (*relay, error) {
	rl := &relay{ctx: r.Context(), blobs: a.through(img), places: a.readOrder(r, img), off: off, left: n,
		log: a.Log.With().Str("image", img.ID).Logger()}
	if err := rl.next(); err != nil {
		return nil, err
	}
	return rl, nil
}

// readOrder lists where an image can be read: the stores that the request prefers,
// as Glance has it, then those that the operator does.
func (a *api) readOrder(r *http.Request, img metadata.Image) []metadata.Location {
	order := append(strings.Split(r.URL.Query().Get("prefer"), ","), a.ReadFirst...)
	rank := func(loc metadata.Location) int {
		if i := slices.Index(order, loc.Store); i >= 0 {
			return i
		}
		return len(order)
	}
	locs := img.Locations()
	slices.SortStableFunc(locs, func(x, y metadata.Location) int { return rank(x) - rank(y) })
	return locs
}

// next opens the next place that answers.
func (rl *relay) next() error {
	var first error
	for len(rl.places) > 0 {
		rl.at, rl.places = rl.places[0], rl.places[1:]
		body, err := rl.blobs.OpenRange(rl.ctx, rl.at.Store, rl.at.Key, rl.off, rl.left)
		if err == nil {
			rl.body = body
			return nil
		}
		if rl.ctx.Err() != nil {
			return err
		}
		if first == nil {
			first = err
		}
		if len(rl.places) > 0 {
			rl.log.Warn().Err(err).Str("store", rl.at.Store).Msg("a store fails, reading from the next one")
		}
	}
	return first
}

// Read reads on; what breaks off is gone on with elsewhere.
func (rl *relay) Read(p []byte) (int, error) {
	for {
		n, err := rl.body.Read(p)
		rl.off, rl.left = rl.off+int64(n), rl.left-int64(n)
		if err == nil || rl.left <= 0 || rl.ctx.Err() != nil || len(rl.places) == 0 {
			return n, err
		}
		if errcode.Of(err) == errcode.ChecksumMismatch {
			return n, err // what was sent is not the image: nothing can be put behind it
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		rl.log.Warn().Err(err).Str("store", rl.at.Store).Int64("left", rl.left).Msg("a store fails, reading on from the next one")
		rl.body.Close()
		broken := err
		if err := rl.next(); err != nil {
			rl.body = io.NopCloser(strings.NewReader(""))
			return n, errors.Join(broken, err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// WriteTo writes all that is left. What a place can send by itself, such as a file, it
// does; what it leaves out, because it breaks off, is gone on with elsewhere.
func (rl *relay) WriteTo(w io.Writer) (int64, error) {
	var sent int64
	if from, ok := rl.body.(io.WriterTo); ok {
		n, err := from.WriteTo(w)
		sent, rl.off, rl.left = n, rl.off+n, rl.left-n
		if rl.left <= 0 || err != nil && (rl.ctx.Err() != nil || ofConnection(err)) {
			return sent, err
		}
	}
	n, err := io.CopyBuffer(onlyWriter{w}, struct{ io.Reader }{rl}, make([]byte, copyBuffer))
	return sent + n, err
}

// ofConnection reports whether an error is that of the client's connection, and not of what
// is read from. A file that the kernel sends may fail with EIO, whoever reports it.
func ofConnection(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !errors.Is(err, syscall.EIO)
}

// onlyWriter hides ReadFrom, which would buffer as it likes.
type onlyWriter struct{ io.Writer }

// Close closes what is open.
func (rl *relay) Close() error { return rl.body.Close() }
