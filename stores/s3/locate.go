package s3

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/stores"
)

var _ stores.Locator = (*Store)(nil)

// URL returns s3://bucket/name of where the bytes of an object lie, errcode.NotFound if
// there is none. The endpoint and the keys stay out.
func (s *Store) URL(ctx context.Context, key string) (string, error) {
	c, _, err := s.object(ctx, key)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "s3", Host: s.o.Bucket, Path: "/" + s.bytesPath(key, c)}).String(), nil
}

// KeyOf returns the key of the object that an s3 URL names: that of its bytes.
func (s *Store) KeyOf(raw string) (string, bool) {
	u, ok := stores.PlainURL(raw)
	if !ok || u.Scheme != "s3" || u.Host != s.o.Bucket {
		return "", false
	}
	name, ok := strings.CutPrefix(u.Path, "/"+s.o.Prefix)
	if !ok {
		return "", false
	}
	if id, ok := strings.CutPrefix(name, dataName); ok {
		return stores.KeyOfID(strings.ReplaceAll(id, "/", "."))
	}
	return name, stores.IsExternal(name)
}

// bytesPath is the name of an object's bytes in the bucket.
func (s *Store) bytesPath(key string, c claim) string {
	if stores.IsExternal(key) {
		return s.o.Prefix + key
	}
	return s.dataPath(c.Upload)
}

// external describes an object that somebody else has put below the prefix.
func (s *Store) external(ctx context.Context, key string) (claim, error) {
	if err := ctx.Err(); err != nil {
		return claim{}, err
	}
	head, err := s.c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.o.Bucket, Key: aws.String(s.o.Prefix + key)})
	if isMissing(err) {
		return claim{}, notFound(key)
	}
	if err != nil {
		return claim{}, storeError(err, "look at object %s", key)
	}
	return claim{Final: true, Size: aws.ToInt64(head.ContentLength), ETag: aws.ToString(head.ETag), Committed: aws.ToTime(head.LastModified)}, nil
}
