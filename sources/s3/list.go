package s3

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/sources"
)

var _ sources.Lister = (*Driver)(nil)

// List lists the objects that fit a pattern, with one request for each thousand that
// begin like it. What lies behind a further slash is in another folder.
func (d *Driver) List(ctx context.Context, ref sources.Ref) ([]sources.Listed, error) {
	loc, err := parse(ref.URL)
	if err != nil {
		return nil, err
	}
	if loc.version != "" {
		return nil, invalid("it names a version, which a pattern has not")
	}
	c, _, err := d.client(ctx, ref, loc)
	if err != nil {
		return nil, err
	}
	folder := loc.key[:strings.LastIndexByte(loc.key, '/')+1]
	pattern := loc.key[len(folder):]
	begin, _, _ := strings.Cut(pattern, "*")
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{
		Bucket: &loc.bucket, Prefix: aws.String(folder + begin), Delimiter: aws.String("/"),
	})
	var out []sources.Listed
	seen := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, sourceError(err)
		}
		for _, o := range page.Contents {
			if seen++; seen > sources.MaxListed {
				return nil, sources.TooManyListed()
			}
			name := strings.TrimPrefix(aws.ToString(o.Key), folder)
			if name == "" || !sources.Fits(pattern, name) {
				continue
			}
			out = append(out, sources.Listed{Name: name, URL: withKey(ref.URL, folder+name), Modified: aws.ToTime(o.LastModified)})
		}
	}
	return out, nil
}

// withKey is an s3 URL with another key.
func withKey(raw, key string) string {
	u, err := url.Parse(raw)
	if err != nil { // it was parsed before
		return ""
	}
	u.Path, u.RawPath = "/"+key, ""
	return u.String()
}
