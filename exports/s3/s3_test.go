package s3_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/exports"
	"ingest/exports/exporttest"
	"ingest/exports/s3"
	"ingest/internal/errcode"
	"ingest/internal/s3test"
)

// part is the smallest that services take.
const part = 5 << 20

func TestDriver(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			server := s3test.Start(t, kind)
			exporttest.Run(t, func(tb testing.TB) exporttest.Fixture { return fixture(tb, server) })
		})
	}
}

// fixture is a key of a fresh bucket, which is reached through a proxy.
func fixture(tb testing.TB, server *s3test.Server) exporttest.Fixture {
	const key = "images/disk.img"
	bucket, proxy, troubles := server.Bucket(tb), s3test.NewProxy(tb, server), &exporttest.Troubles{}
	proxy.Before(troubles.Before)
	proxy.Lose(troubles.Lose)
	client := s3test.NewClient(proxy.Endpoint)
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	ctx := context.Background()
	return exporttest.Fixture{
		Driver: driver(client, bucket, key), URL: "s3://" + bucket + "/" + key, Part: part, Inject: troubles.Inject, Sent: proxy.Sent.Load,
		Read: func() ([]byte, bool) {
			out, err := server.Client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &bucket, Key: aws.String(key)})
			if err != nil {
				return nil, false
			}
			defer out.Body.Close()
			p, err := io.ReadAll(out.Body)
			must(err)
			return p, true
		},
		Place: func(p []byte) {
			if p == nil {
				_, err := server.Client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(key)})
				must(err)
				return
			}
			_, err := server.Client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String(key), Body: bytes.NewReader(p)})
			must(err)
		},
		Left: func() (left []string) {
			all, err := server.Client.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: aws.String(key)})
			must(err)
			for _, u := range all.Uploads { // one whose begin was not answered holds nothing
				parts, err := server.Client.ListParts(ctx, &awss3.ListPartsInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
				must(err)
				for range parts.Parts {
					left = append(left, aws.ToString(u.UploadId))
				}
			}
			return left
		},
	}
}

func driver(client *awss3.Client, bucket, key string) *s3.Driver {
	return s3.New(s3.Options{Buckets: []string{bucket}, PartSize: part, Connect: func(context.Context, exports.Destination) (s3.Place, error) {
		return s3.Place{Client: client, Bucket: bucket, Key: key}, nil
	}})
}

func TestOnlyBucketsOfTheOperator(t *testing.T) {
	d := s3.New(s3.Options{Buckets: []string{"ours"}, Connect: func(context.Context, exports.Destination) (s3.Place, error) {
		return s3.Place{Client: s3test.NewClient("http://127.0.0.1:1"), Bucket: "theirs", Key: "k"}, nil
	}})
	if _, err := d.Open(t.Context(), exports.Destination{URL: "s3://theirs/k"}, nil); errcode.Of(err) != errcode.DestinationOutside {
		t.Errorf("another bucket: %v", err)
	}
}

// A read that breaks off is not the end of the object.
func TestReadBackThatBreaks(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	bucket, proxy := server.Bucket(t), s3test.NewProxy(t, server)
	d := driver(s3test.NewClient(proxy.Endpoint), bucket, "k")
	target, err := d.Open(t.Context(), exports.Destination{Task: "t"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := exporttest.Content(3<<20, 1)
	err = target.(exports.Receiver).Send(t.Context(), exports.Sending{Content: bytes.NewReader(p), Tap: io.Discard, Observe: func(int64) {}})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Body(func(r *http.Request, body io.Reader) io.Reader {
		if r.Method == http.MethodGet {
			return io.MultiReader(io.LimitReader(body, 1000), broken{})
		}
		return body
	})
	r, err := target.(exports.Readable).ReadBack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 2<<20), 0); errcode.Of(err) != errcode.DestinationUnreachable {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
