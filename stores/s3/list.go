package s3

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ingest/internal/errcode"
	"ingest/stores"
)

// errStop ends a listing early.
var errStop = errors.New("no more is wanted")

// Objects yields every committed object, ordered by key.
func (s *Store) Objects(ctx context.Context) iter.Seq2[stores.ObjectInfo, error] {
	return func(yield func(stores.ObjectInfo, error) bool) {
		prefix := s.o.Prefix + objectsName
		err := s.list(ctx, prefix, func(o types.Object) error {
			key, ok := strings.CutSuffix(strings.TrimPrefix(aws.ToString(o.Key), prefix), suffix)
			if !ok || stores.CheckKey(key) != nil {
				return nil
			}
			info, err := s.Stat(ctx, key)
			if errcode.Of(err) == errcode.NotFound {
				return nil // deleted meanwhile, or not committed yet
			}
			if err != nil {
				return err
			}
			if !yield(info, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(stores.ObjectInfo{}, storeError(err, "list the objects of store %s", s.name))
		}
	}
}

// Uploads yields the uploads whose manifest was last written before the given
// time, by the service's clock, and parts without a manifest. What a crash left
// half aborted, half committed or half deleted is listed too: Resume cleans it up.
func (s *Store) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	return func(yield func(stores.UploadInfo, error) bool) {
		err := s.uploads(ctx, before, func(u stores.UploadInfo) bool { return yield(u, nil) })
		if err != nil && !errors.Is(err, errStop) {
			yield(stores.UploadInfo{}, storeError(err, "list the uploads of store %s", s.name))
		}
	}
}

func (s *Store) uploads(ctx context.Context, before time.Time, yield func(stores.UploadInfo) bool) error {
	known := map[string]bool{}
	prefix := s.o.Prefix + uploadsName
	err := s.list(ctx, prefix, func(o types.Object) error {
		id := idOf(aws.ToString(o.Key), prefix, suffix)
		if id == "" {
			return nil
		}
		known[id] = true
		key, _ := stores.KeyOfID(id)
		info := stores.UploadInfo{ID: id, Key: key, Touched: aws.ToTime(o.LastModified)}
		if info.Touched.IsZero() || !info.Touched.Before(before) {
			return nil
		}
		m, _, err := s.readManifest(ctx, id)
		if isMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		info.Bytes = m.Bytes
		if !yield(info) {
			return errStop
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A late answer to a handle that was overtaken can leave a part behind.
	prefix = s.o.Prefix + partsName
	return s.list(ctx, prefix, func(o types.Object) error {
		name, _, _ := strings.Cut(strings.TrimPrefix(aws.ToString(o.Key), prefix), "/")
		key, ok := stores.KeyOfID(name)
		touched := aws.ToTime(o.LastModified)
		if !ok || known[name] || touched.IsZero() || !touched.Before(before) {
			return nil
		}
		known[name] = true
		if !yield(stores.UploadInfo{ID: name, Key: key, Touched: touched, Bytes: aws.ToInt64(o.Size)}) {
			return errStop
		}
		return nil
	})
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
