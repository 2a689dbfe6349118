package s3

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/stores"
)

// object returns the record of a committed object, errcode.NotFound if there is
// none.
func (s *Store) object(ctx context.Context, key string) (c claim, m manifest, err error) {
	if stores.IsExternal(key) {
		c, err = s.external(ctx, key)
		return c, m, err
	}
	if err := stores.CheckKey(key); err != nil {
		return c, m, err
	}
	for last := ""; ; {
		var etag string
		c, etag, err = s.readClaim(ctx, key)
		if err != nil || c.Final {
			break
		}
		if c.Upload == "" {
			return c, m, notFound(key)
		}
		m, _, err = s.readManifest(ctx, c.Upload)
		if err == nil && m.State == stateCommitted {
			return m.claim(c.Upload), m, nil
		}
		if err == nil {
			return c, m, notFound(key)
		}
		// A manifest goes once the claim has taken its record over, which may
		// have been between the two reads.
		if !isMissing(err) || etag == last {
			break
		}
		last = etag
	}
	if isMissing(err) {
		return c, m, notFound(key)
	}
	return c, m, storeError(err, "read the record of object %s", key)
}

func notFound(key string) error {
	return errcode.New(errcode.NotFound, "the store has no object %s", key)
}

// Stat returns what is known of a committed object.
func (s *Store) Stat(ctx context.Context, key string) (stores.ObjectInfo, error) {
	c, _, err := s.object(ctx, key)
	if err != nil {
		return stores.ObjectInfo{}, err
	}
	return stores.ObjectInfo{Key: key, Size: c.Size, Allocated: -1, Digest: c.Digest, Committed: c.Committed}, nil
}

// OpenRange reads n bytes from off of a committed object, to its end if n < 0.
// A connection that breaks is taken up again where it broke.
func (s *Store) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, _, err := s.object(ctx, key)
	if err != nil {
		return nil, err
	}
	if off < 0 || off > c.Size {
		return nil, errcode.New(errcode.RangeInvalid, "offset %d lies outside the object of %d bytes", off, c.Size)
	}
	if left := c.Size - off; n < 0 || n > left {
		n = left
	}
	r := &stream{ctx: ctx, s: s, path: s.bytesPath(key, c), etag: c.ETag, off: off, end: off + n}
	if n > 0 {
		if err := r.open(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ReaderAt reads the sealed bytes, ahead where reads follow each other.
func (u *upload) ReaderAt() (io.ReaderAt, error) {
	if err := u.usable(context.Background()); err != nil {
		return nil, err
	}
	size, ok := u.Sealed()
	if !ok {
		return nil, errcode.New(errcode.Conflict, "the upload is not sealed yet")
	}
	path, etag := u.s.dataPath(u.id), u.m.ETag
	fetch := func(ctx context.Context, p []byte, off int64) error {
		r := &stream{ctx: ctx, s: u.s, path: path, etag: etag, off: off, end: off + int64(len(p))}
		defer r.Close()
		_, err := io.ReadFull(r, p)
		return err
	}
	return readahead.New(u.life, fetch, size, readahead.Options{Chunk: readChunk, Memory: 16 * readChunk}), nil
}

// readChunk is what one request reads back: a request costs a few milliseconds,
// so that smaller ones would be mostly waiting.
const readChunk = 4 << 20

// maxBreaks is how often a stream goes on behind a break without a byte between.
const maxBreaks = 4

// stream reads a range of the bytes that have an ETag.
type stream struct {
	ctx      context.Context
	s        *Store
	path     string
	etag     string
	off, end int64
	body     io.ReadCloser
	breaks   int
}

func (r *stream) open() error {
	out, err := r.s.c.GetObject(r.ctx, &s3.GetObjectInput{
		Bucket: &r.s.o.Bucket, Key: &r.path, IfMatch: optional(r.etag), Range: aws.String(fmt.Sprintf("bytes=%d-%d", r.off, r.end-1)),
	})
	if isMissing(err) {
		return errcode.Wrap(err, errcode.NotFound, "the store no longer has the object")
	}
	if err != nil {
		return storeError(err, "read at offset %d", r.off)
	}
	if got := aws.ToInt64(out.ContentLength); got != r.end-r.off {
		out.Body.Close()
		return errcode.New(errcode.StoreUnavailable, "the service sends %d bytes where %d were asked for", got, r.end-r.off)
	}
	r.body = out.Body
	return nil
}

// Read reads on.
func (r *stream) Read(p []byte) (int, error) {
	for {
		if r.off >= r.end {
			return 0, io.EOF
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.off)])
		r.off += int64(n)
		if n > 0 {
			r.breaks = 0
		}
		if err == nil || r.off >= r.end {
			return n, nil
		}
		r.body.Close()
		r.body = nil
		if cause := r.ctx.Err(); cause != nil {
			return n, cause
		}
		if r.breaks++; r.breaks > maxBreaks {
			return n, storeError(err, "read at offset %d", r.off)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close lets go of the connection.
func (r *stream) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
