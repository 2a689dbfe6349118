package s3

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/errcode"
	"ingest/stores"
)

// Commit makes the sealed bytes visible. It can be repeated after an error or a
// crash at any step.
func (u *upload) Commit(ctx context.Context, want stores.Digest) error {
	u.op.Lock()
	defer u.op.Unlock()
	if err := u.usable(ctx); err != nil {
		return err
	}
	size, sealed := u.Sealed()
	if err := stores.MayCommit(u.id, size, sealed, want); err != nil {
		return err
	}
	if u.done != nil {
		if u.done.Digest != want {
			return errcode.New(errcode.Conflict, "upload %s is committed with another digest", u.id)
		}
		return nil
	}
	return storeError(u.commit(ctx, want), "commit upload %s", u.id)
}

func (u *upload) commit(ctx context.Context, want stores.Digest) error {
	if u.m.State == stateSealed {
		if err := u.youngest(ctx); err != nil {
			return err
		}
	}
	if u.m.State == stateSealed {
		if err := u.claimKey(ctx); err != nil {
			return err
		}
		err := u.change(ctx, func(m *manifest) {
			m.State, m.Digest, m.Committed = stateCommitted, want, time.Now().UTC()
		})
		if err != nil {
			return err
		}
	}
	if u.m.Digest != want {
		return errcode.New(errcode.Conflict, "upload %s is committed with another digest", u.id)
	}
	return u.publish(ctx)
}

// publish finishes a commit: the claim takes the record over, and the manifest
// goes. The upload is committed already.
func (u *upload) publish(ctx context.Context) error {
	want := u.m.claim(u.id)
	for {
		c, etag, err := u.s.readClaim(ctx, u.key)
		cond := condition{etag: etag}
		switch {
		case isMissing(err):
			cond = condition{absent: true}
		case err != nil:
			return err
		case c.Upload == "":
		case c.Upload != u.id:
			return errcode.New(errcode.Conflict, "there is an object %s from another upload", u.key)
		}
		if err == nil && c.Final {
			break
		}
		if _, err := u.s.put(ctx, u.s.claimPath(u.key), want, cond); errors.Is(err, errCondition) {
			continue
		} else if err != nil {
			return err
		}
		if c.Upload == "" {
			if err := u.stillCommitted(ctx); err != nil {
				return err
			}
		}
		break
	}
	u.done = &want
	if err := u.s.clearParts(ctx, u.id); err != nil {
		return err
	}
	// One that was written since is that of a Delete, which needs it.
	if err := u.s.removeIf(ctx, u.s.manifestPath(u.id), u.etag); !errors.Is(err, errCondition) {
		return err
	}
	return nil
}

// stillCommitted is asked behind a claim that was put where there was none, or one
// that was given up: the
// object may have been deleted since it was committed, and the claim goes again.
func (u *upload) stillCommitted(ctx context.Context) error {
	m, _, err := u.s.readManifest(ctx, u.id)
	switch {
	case err == nil && m.State == stateCommitted:
		return nil
	case err != nil && !isMissing(err):
		return err
	}
	if err := u.unclaim(ctx); err != nil {
		return err
	}
	return stores.Unknown(u.id)
}

// Abort throws the upload away. A handle that was overtaken leaves it to its
// successor and returns errcode.UploadFenced; one that was closed does nothing.
// It works with a context that has ended, so that it can be deferred.
func (u *upload) Abort(ctx context.Context) error {
	u.op.Lock()
	defer u.op.Unlock()
	if u.usable(context.Background()) != nil || u.done != nil {
		return nil
	}
	ctx, cancel := outlive(ctx)
	defer cancel()
	m, err := u.look(ctx)
	switch {
	case isMissing(err):
		// Ended by somebody else, or committed.
		u.letGo(stores.Unknown(u.id))
		return nil
	case err != nil:
		return storeError(err, "abort upload %s", u.id)
	case m.Generation != u.m.Generation:
		return stores.Fenced(u.id)
	case m.State == stateCommitted: // Commit failed behind its decision; what is left goes with Resume
		return nil
	}
	if m.State != stateAborted {
		if err := u.change(ctx, func(m *manifest) { m.State, m.Note, m.Held = stateAborted, nil, nil }); err != nil {
			return storeError(err, "abort upload %s", u.id)
		}
	}
	u.letGo(stores.Unknown(u.id))
	return storeError(u.clear(ctx), "abort upload %s", u.id)
}

// clear removes every trace of an upload whose manifest says aborted, the
// manifest last.
func (u *upload) clear(ctx context.Context) error {
	if err := u.unclaim(ctx); err != nil {
		return err
	}
	if err := u.s.clearBytes(ctx, u.id); err != nil {
		return err
	}
	return u.s.remove(ctx, u.s.manifestPath(u.id))
}

// clearBytes removes what an upload has written.
func (s *Store) clearBytes(ctx context.Context, id string) error {
	if err := s.dropMultiparts(ctx, s.dataPath(id)); err != nil {
		return err
	}
	if err := s.remove(ctx, s.dataPath(id)); err != nil {
		return err
	}
	return s.clearParts(ctx, id)
}

// dropMultiparts aborts every multipart upload to a name, also one whose id was
// never learned.
func (s *Store) dropMultiparts(ctx context.Context, path string) error {
	out, err := s.c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.o.Bucket, Prefix: &path})
	if err != nil {
		return err
	}
	for _, x := range out.Uploads {
		if aws.ToString(x.Key) != path {
			continue
		}
		_, err := s.c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: &path, UploadId: x.UploadId})
		if err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// Delete removes a committed object. Its manifest is put there again, as that of
// an aborted upload, so that what a crash leaves is found and removed. An external
// object is left.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if stores.IsExternal(key) {
		return nil
	}
	if err := stores.CheckKey(key); err != nil {
		return err
	}
	if err := s.Check(ctx); err != nil {
		return err
	}
	return storeError(s.delete(ctx, key), "delete object %s", key)
}

func (s *Store) delete(ctx context.Context, key string) error {
	c, _, err := s.object(ctx, key)
	if errcode.Of(err) == errcode.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	u := s.handle(c.Upload, key)
	for {
		m, etag, err := s.readManifest(ctx, c.Upload)
		cond := condition{etag: etag}
		if isMissing(err) {
			cond = condition{absent: true}
		} else if err != nil {
			return err
		}
		m.State, m.Generation = stateAborted, max(m.Generation, c.Generation)+1
		_, err = s.writeManifest(ctx, c.Upload, &m, cond)
		if err == nil {
			return u.clear(ctx)
		}
		if !errors.Is(err, errCondition) {
			return err
		}
	}
}
