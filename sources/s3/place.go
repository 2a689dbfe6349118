package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/sources"
)

// A Place is an object of a service, whether it is there or not.
type Place struct {
	Client      *s3.Client
	Bucket, Key string
}

// Place finds what a URL names, under the rules for sources: which endpoints, which
// credentials.
func (d *Driver) Place(ctx context.Context, ref sources.Ref) (Place, error) {
	loc, err := parse(ref.URL)
	if err != nil {
		return Place{}, err
	}
	if loc.version != "" {
		return Place{}, invalid("a destination has no versionId")
	}
	c, _, err := d.client(ctx, ref, loc)
	return Place{Client: c, Bucket: loc.bucket, Key: loc.key}, err
}
