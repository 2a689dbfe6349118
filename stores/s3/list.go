package s3

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ingest/internal/errcode"
	"ingest/stores"
)

// errStop ends a listing early.
var errStop = errors.New("no more is wanted")

// atOnce is how many claims are read at once for a listing.
const atOnce = 16

// Objects yields every committed object, ordered by key. Claims are read some at a
// time, since each is a request.
func (s *Store) Objects(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return func(yield func(stores.ObjectInfo, error) bool) {
		var keys []string
		flush := func() bool {
			infos, errs := make([]stores.ObjectInfo, len(keys)), make([]error, len(keys))
			var wg sync.WaitGroup
			for i, key := range keys {
				wg.Go(func() { infos[i], errs[i] = s.Stat(ctx, key) })
			}
			wg.Wait()
			keys = keys[:0]
			for i, err := range errs {
				if errcode.Of(err) == errcode.NotFound {
					continue // deleted meanwhile, or not committed yet
				}
				if !yield(infos[i], err) || err != nil {
					return false
				}
			}
			return true
		}
		for c, err := range s.claims(ctx) {
			if err != nil {
				yield(stores.ObjectInfo{}, storeError(err, "list the objects of store %s", s.name))
				return
			}
			if c.givenUp {
				continue
			}
			if keys = append(keys, c.key); len(keys) == atOnce && !flush() {
				return
			}
		}
		flush()
	}
}

// Find returns the id of the upload that was begun for key.
func (s *Store) Find(ctx context.Context, key string) (string, error) {
	c, _, err := s.object(ctx, key)
	if err == nil {
		return c.Upload, nil
	}
	if errcode.Of(err) != errcode.NotFound {
		return "", err
	}
	prefix := s.o.Prefix + uploadsName
	var id string
	var newest time.Time
	err = s.list(ctx, prefix+stores.IDPrefix(key), func(o types.Object) error {
		have := idOf(aws.ToString(o.Key), prefix, suffix)
		if touched := aws.ToTime(o.LastModified); have != "" && (id == "" || touched.After(newest)) {
			m, _, err := s.readManifest(ctx, have)
			if isMissing(err) || (err == nil && m.State == stateAborted) {
				return nil
			}
			if err != nil {
				return err
			}
			id, newest = have, touched
		}
		return nil
	})
	if err != nil {
		return "", storeError(err, "look for an upload in store %s", s.name)
	}
	if id == "" {
		return "", errcode.New(errcode.UploadUnknown, "there is no upload for %s", key)
	}
	return id, nil
}

// A listedClaim is what a listing tells of a claim.
type listedClaim struct {
	key     string
	givenUp bool
	touched time.Time
}

// claims lists the claims, in the order of their keys.
func (s *Store) claims(ctx context.Context) iter.Seq2[listedClaim, error] {
	return func(yield func(listedClaim, error) bool) {
		prefix := s.o.Prefix + objectsName
		err := s.list(ctx, prefix, func(o types.Object) error {
			key, ok := strings.CutSuffix(strings.TrimPrefix(aws.ToString(o.Key), prefix), suffix)
			if !ok || stores.CheckKey(key) != nil {
				return nil
			}
			if !yield(listedClaim{key, aws.ToInt64(o.Size) == int64(len(givenUp)), aws.ToTime(o.LastModified)}, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(listedClaim{}, err)
		}
	}
}
