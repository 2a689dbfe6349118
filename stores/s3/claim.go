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

// A claim says which upload's bytes a key has.
type claim struct {
	Upload string `json:"upload"` // "" in a claim that was given up
	// Final: the rest is filled in, and the manifest is of no more use.
	Final      bool          `json:"final"`
	Generation int64         `json:"generation,omitempty"`
	Size       int64         `json:"size"`
	ETag       string        `json:"etag,omitempty"`
	Digest     stores.Digest `json:"digest"`
	Committed  time.Time     `json:"committed,omitzero"`
}

func (m *manifest) claim(id string) claim {
	return claim{Upload: id, Final: true, Generation: m.Generation, Size: m.Sealed, ETag: m.ETag, Digest: m.Digest, Committed: m.Committed}
}

// readClaim returns the claim of a key; isMissing tells that there is none.
func (s *Store) readClaim(ctx context.Context, key string) (c claim, etag string, err error) {
	etag, err = s.get(ctx, s.claimPath(key), &c)
	return c, etag, err
}

// claimKey puts the claim under the key, or finds it there. The claim of an
// upload that is gone, and one that was given up, is replaced.
func (u *upload) claimKey(ctx context.Context) error {
	cond := condition{absent: true}
	for {
		_, err := u.s.put(ctx, u.s.claimPath(u.key), claim{Upload: u.id}, cond)
		if !errors.Is(err, errCondition) {
			return err
		}
		c, etag, err := u.s.readClaim(ctx, u.key)
		switch {
		case isMissing(err):
			cond = condition{absent: true}
			continue
		case err != nil:
			return err
		case c.Upload == u.id:
			return nil
		case c.Upload == "":
			cond = condition{etag: etag}
			continue
		case !c.Final:
			m, _, err := u.s.readManifest(ctx, c.Upload)
			if isMissing(err) || (err == nil && m.State == stateAborted) {
				cond = condition{etag: etag}
				continue
			}
			if err != nil {
				return err
			}
		}
		return errcode.New(errcode.Conflict, "there is an object %s from another upload", u.key)
	}
}

// givenUp is a claim of no upload. A service without conditions on DELETE gets it in
// the place of a removal, which could come late and remove the claim of another
// upload of the key. A claim has more bytes.
const givenUp = "{}"

// givenUpFor is how long such a claim stays. No upload of a key is begun so long after
// another one has ended: the key is that of one task, or of one copy.
const givenUpFor = 7 * 24 * time.Hour

// unclaim removes the claim of the upload. Another upload may replace it at any
// moment, and its claim stays.
func (u *upload) unclaim(ctx context.Context) error {
	for {
		c, etag, err := u.s.readClaim(ctx, u.key)
		if isMissing(err) || err == nil && c.Upload != u.id {
			return nil
		}
		if err == nil {
			err = u.s.giveUp(ctx, u.key, etag)
		}
		if !errors.Is(err, errCondition) {
			return err
		}
	}
}

// giveUp ends a claim if it still has the ETag; errCondition says that it has not.
func (s *Store) giveUp(ctx context.Context, key, etag string) error {
	if !s.conds || s.drops {
		return s.removeIf(ctx, s.claimPath(key), etag)
	}
	_, err := s.putIf(ctx, s.claimPath(key), []byte(givenUp), condition{etag: etag})
	if isPrecondition(err) || isMissing(err) {
		return errCondition
	}
	return err
}

// sweepClaim removes a claim that was given up long ago.
func (s *Store) sweepClaim(ctx context.Context, key, etag string) error {
	path := s.claimPath(key)
	out, err := s.c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.o.Bucket, Key: &path})
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return err
	case aws.ToString(out.ETag) != etag || time.Since(aws.ToTime(out.LastModified)) < s.givenUpFor:
		return nil
	}
	if err := s.removeIf(ctx, path, etag); !errors.Is(err, errCondition) {
		return err
	}
	return nil
}
