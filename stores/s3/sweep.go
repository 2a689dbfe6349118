package s3

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ingest/stores"
)

// Uploads yields the uploads whose manifest was last written before the given
// time, by the service's clock, and parts and bytes without a manifest. What a crash
// left half aborted, half committed or half deleted is listed too: Resume cleans it up.
func (s *Store) Uploads(ctx context.Context, before time.Time) iter.Seq2[stores.UploadInfo, error] {
	return func(yield func(stores.UploadInfo, error) bool) {
		w := &sweep{s: s, before: before, known: map[string]bool{}, yield: func(u stores.UploadInfo) error {
			if !yield(u, nil) {
				return errStop
			}
			return nil
		}}
		for _, look := range []func(context.Context) error{w.manifests, w.parts, w.multiparts, w.bytes} {
			if err := look(ctx); err != nil {
				if !errors.Is(err, errStop) {
					yield(stores.UploadInfo{}, storeError(err, "list the uploads of store %s", s.name))
				}
				return
			}
		}
	}
}

// A sweep looks for uploads. Those that have a manifest come first, so that what is
// found without one had none before it was looked for.
type sweep struct {
	s      *Store
	before time.Time
	known  map[string]bool // ids that were seen
	yield  func(stores.UploadInfo) error
}

// old reports whether something was last touched before the sweep's time.
func (w *sweep) old(t *time.Time) bool {
	at := aws.ToTime(t)
	return !at.IsZero() && at.Before(w.before)
}

func (w *sweep) manifests(ctx context.Context) error {
	prefix := w.s.o.Prefix + uploadsName
	return w.s.list(ctx, prefix, func(o types.Object) error {
		id := idOf(aws.ToString(o.Key), prefix, suffix)
		if id == "" {
			return nil
		}
		w.known[id] = true
		if !w.old(o.LastModified) {
			return nil
		}
		m, _, err := w.s.readManifest(ctx, id)
		if isMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		key, _ := stores.KeyOfID(id)
		return w.yield(stores.UploadInfo{ID: id, Key: key, Touched: aws.ToTime(o.LastModified), Bytes: m.Bytes})
	})
}

// lone yields what has no manifest and was not seen before.
func (w *sweep) lone(id string, touched *time.Time, size int64) error {
	key, ok := stores.KeyOfID(id)
	if !ok || w.known[id] || !w.old(touched) {
		return nil
	}
	w.known[id] = true
	return w.yield(stores.UploadInfo{ID: id, Key: key, Touched: aws.ToTime(touched), Bytes: size})
}

// parts finds what a late answer to a handle that was overtaken has left.
func (w *sweep) parts(ctx context.Context) error {
	prefix := w.s.o.Prefix + partsName
	return w.s.list(ctx, prefix, func(o types.Object) error {
		id, _, _ := strings.Cut(strings.TrimPrefix(aws.ToString(o.Key), prefix), "/")
		return w.lone(id, o.LastModified, aws.ToInt64(o.Size))
	})
}

// multiparts finds multipart uploads, as far as the service lists them.
func (w *sweep) multiparts(ctx context.Context) error {
	prefix := w.s.o.Prefix + dataName
	p := s3.NewListMultipartUploadsPaginator(w.s.c, &s3.ListMultipartUploadsInput{Bucket: &w.s.o.Bucket, Prefix: &prefix})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if err := w.lone(w.s.idOfData(aws.ToString(u.Key)), u.Initiated, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// bytes finds bytes that no claim names, and claims that were given up long ago. Names
// below data/ and objects/ are in the same order, so that both are read side by side.
func (w *sweep) bytes(ctx context.Context) error {
	next, stop := iter.Pull2(w.s.claims(ctx))
	defer stop()
	var c listedClaim
	var more bool
	var err error
	advance := func() error {
		if c, err, more = next(); !more {
			return nil
		}
		if err != nil {
			return err
		}
		if c.givenUp && time.Since(c.touched) > w.s.givenUpFor {
			return w.lone(stores.IDPrefix(c.key)+strings.Repeat("0", stores.RandomLen), &c.touched, int64(len(givenUp)))
		}
		return nil
	}
	if err := advance(); err != nil {
		return err
	}
	var group []types.Object // of one key
	var of string
	end := func() error {
		for more && c.key < of {
			if err := advance(); err != nil {
				return err
			}
		}
		return w.unclaimed(ctx, of, group, more && c.key == of && !c.givenUp)
	}
	err = w.s.list(ctx, w.s.o.Prefix+dataName, func(o types.Object) error {
		key, ok := stores.KeyOfID(w.s.idOfData(aws.ToString(o.Key)))
		if !ok {
			return nil
		}
		if key != of {
			if err := end(); err != nil {
				return err
			}
			of, group = key, group[:0]
		}
		group = append(group, o)
		return nil
	})
	if err == nil {
		err = end()
	}
	for err == nil && more {
		err = advance()
	}
	return err
}

// unclaimed yields those of a key's bytes that its claim does not name. The bytes of a
// claim are there before it is, so that a single upload's are the claim's.
func (w *sweep) unclaimed(ctx context.Context, key string, group []types.Object, claimed bool) error {
	if claimed && len(group) == 1 {
		return nil
	}
	if slices.ContainsFunc(group, func(o types.Object) bool { return !w.known[w.s.idOfData(aws.ToString(o.Key))] }) && claimed {
		c, _, err := w.s.readClaim(ctx, key)
		if err != nil && !isMissing(err) {
			return err
		}
		group = slices.DeleteFunc(slices.Clone(group), func(o types.Object) bool { return w.s.idOfData(aws.ToString(o.Key)) == c.Upload })
	}
	for _, o := range group {
		if err := w.lone(w.s.idOfData(aws.ToString(o.Key)), o.LastModified, aws.ToInt64(o.Size)); err != nil {
			return err
		}
	}
	return nil
}
