package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/stores"
)

// A Store keeps objects in one bucket, below one prefix.
type Store struct {
	name string
	o    Options
	c    *s3.Client

	givenUpFor time.Duration // how long claims stay that were given up

	// write is held over each change of a small object of a service without
	// conditional writes, which only one process writes to.
	write sync.Mutex

	mu    sync.Mutex
	tried bool // the service's conditions were tried and are what they have to be
	conds bool // the service keeps If-Match and If-None-Match on PUT
	drops bool // and If-Match on DELETE
}

var (
	_ stores.Store   = (*Store)(nil)
	_ stores.Objects = (*Store)(nil)
	_ stores.Finder  = (*Store)(nil)
	_ stores.Bounded = (*Store)(nil)
)

// maxSmall bounds a manifest, a claim or the stamp, bytes: a note is a few KiB,
// and 10,000 held-back parts are listed in 200 KiB.
const maxSmall = 4 << 20

// New returns a store. It asks nothing of the service: what it needs of it is
// tried with the first write.
func New(name string, c *s3.Client, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Store{name: name, o: o, c: c, givenUpFor: givenUpFor}, nil
}

// Name returns the operator's name for the store.
func (s *Store) Name() string { return s.name }

// Check tries once whether the service answers, lets the store write, and keeps
// conditions. errcode.StoreUnsuitable if it does not keep them and nobody vouches
// for a single writer.
func (s *Store) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tried {
		return ctx.Err()
	}
	conds, err := s.tryConditions(ctx)
	if err != nil {
		return storeError(err, "write to store %s", s.name)
	}
	if !conds && !s.o.OneWriter {
		return errcode.New(errcode.StoreUnsuitable, "the server of store %s has no conditional writes, so that two workers could overwrite each other", s.name).
			With(errcode.Evidence{Structure: "store " + s.name, Field: "If-None-Match", Value: "not kept", Limit: "writers=one"})
	}
	drops := false
	if conds {
		if drops, err = s.tryDelete(ctx); err != nil {
			return storeError(err, "delete in store %s", s.name)
		}
	}
	s.tried, s.conds, s.drops = true, conds, drops
	return nil
}

// tryConditions writes the stamp twice, the second time under a condition that
// does not hold.
func (s *Store) tryConditions(ctx context.Context) (bool, error) {
	path := s.o.Prefix + stampName
	body := []byte(`{"store":"ingest","version":1}` + "\n")
	for _, cond := range []condition{{absent: true}, {absent: true}, {etag: noETag}} {
		_, err := s.putIf(ctx, path, body, cond)
		switch {
		case isPrecondition(err):
			continue
		case isNotImplemented(err):
			_, err := s.putIf(ctx, path, body, condition{})
			return false, err
		case err != nil:
			return false, err
		case cond.etag != "":
			return false, nil // it was written although the condition does not hold
		}
		if _, err := s.putIf(ctx, path, body, condition{absent: true}); err == nil {
			return false, nil
		}
	}
	return true, nil
}

// tryDelete deletes an object under a condition that does not hold. The object is of
// no upload, so that it is swept if a crash leaves it.
func (s *Store) tryDelete(ctx context.Context) (bool, error) {
	path := s.partPath(stores.NewID(stores.NewKey(uuid.Nil.String(), uuid.NewString())), 0)
	if _, err := s.putIf(ctx, path, []byte("{}"), condition{}); err != nil {
		return false, err
	}
	_, err := s.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: &path, IfMatch: aws.String(noETag)})
	if err == nil || isMissing(err) {
		return false, nil
	}
	if !isPrecondition(err) && !isNotImplemented(err) {
		return false, err
	}
	return isPrecondition(err), s.remove(ctx, path)
}

// noETag is that of no object.
const noETag = `"00000000000000000000000000000000"`

// A condition of a write: nothing stands there yet, or what does has the ETag.
// The zero value is none.
type condition struct {
	absent bool
	etag   string
}

// errCondition means that the condition of a write did not hold.
var errCondition = errors.New("the condition does not hold")

// put writes a small object under a condition and returns its ETag.
func (s *Store) put(ctx context.Context, path string, v any, cond condition) (etag string, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if len(body) > maxSmall {
		return "", errcode.New(errcode.Internal, "%d bytes are too many for a note", len(body))
	}
	if s.conds {
		etag, err = s.putIf(ctx, path, body, cond)
	} else {
		etag, err = s.putLocked(ctx, path, body, cond)
	}
	if isPrecondition(err) || (cond.etag != "" && isMissing(err)) {
		return "", errCondition
	}
	return etag, err
}

// putLocked is putIf where the process's lock stands for the condition.
func (s *Store) putLocked(ctx context.Context, path string, body []byte, cond condition) (string, error) {
	s.write.Lock()
	defer s.write.Unlock()
	have, err := s.get(ctx, path, nil)
	if err != nil && !isMissing(err) {
		return "", err
	}
	if (cond.absent && err == nil) || (cond.etag != "" && (err != nil || have != cond.etag)) {
		return "", errCondition
	}
	return s.putIf(ctx, path, body, condition{})
}

func (s *Store) putIf(ctx context.Context, path string, body []byte, cond condition) (string, error) {
	in := &s3.PutObjectInput{
		Bucket: &s.o.Bucket, Key: &path, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
		ContentType: aws.String("application/json"), ChecksumAlgorithm: checksum(s.o.Checksum).api(),
		ServerSideEncryption: types.ServerSideEncryption(s.o.Encryption), SSEKMSKeyId: optional(s.o.KMSKey),
	}
	if cond.absent {
		in.IfNoneMatch = aws.String("*")
	}
	in.IfMatch = optional(cond.etag)
	out, err := s.c.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// get reads a small object into v and returns its ETag. isMissing tells that
// there is none.
func (s *Store) get(ctx context.Context, path string, v any) (etag string, err error) {
	out, err := s.c.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.o.Bucket, Key: &path})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(io.LimitReader(out.Body, maxSmall+1))
	if err != nil {
		return "", err
	}
	if v != nil {
		if err := json.Unmarshal(b, v); err != nil {
			return "", errcode.Wrap(err, errcode.StoreUnavailable, "a record in store %s is damaged", s.name)
		}
	}
	return aws.ToString(out.ETag), nil
}

// remove deletes one object, whether it is there or not.
func (s *Store) remove(ctx context.Context, path string) error {
	_, err := s.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: &path})
	if isMissing(err) {
		return nil
	}
	return err
}

// removeIf deletes one object if it still has the ETag; errCondition says that it
// has another one. A service that takes no notice of conditions on DELETE removes
// it in any case: what must not be removed then is no business of it.
func (s *Store) removeIf(ctx context.Context, path, etag string) error {
	if !s.conds {
		return s.removeLocked(ctx, path, etag)
	}
	_, err := s.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: &path, IfMatch: optional(etag)})
	switch {
	case isMissing(err):
		return nil
	case isPrecondition(err):
		return errCondition
	case isNotImplemented(err):
		return s.removeLocked(ctx, path, etag)
	}
	return err
}

// removeLocked is removeIf where the process's lock stands for the condition.
func (s *Store) removeLocked(ctx context.Context, path, etag string) error {
	s.write.Lock()
	defer s.write.Unlock()
	have, err := s.get(ctx, path, nil)
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return err
	case have != etag:
		return errCondition
	}
	return s.remove(ctx, path)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// abortTime bounds what is done for a context that has ended.
const abortTime = time.Minute

// outlive returns a context that goes on behind the end of ctx, for clearing away.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), abortTime)
}
