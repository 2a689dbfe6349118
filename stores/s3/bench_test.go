package s3

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/s3test"
	"ingest/stores"
)

const benchSize = 256 << 20

// BenchmarkUpload writes an object in order, as a plan does.
func BenchmarkUpload(b *testing.B) {
	server := s3test.Start(b, s3test.Versity())
	s := open(b, server.Endpoint, Options{Bucket: server.Bucket(b)})
	piece := content(0, 1<<20)
	b.SetBytes(benchSize)
	for b.Loop() {
		key := stores.NewKey(uuid.NewString(), uuid.NewString())
		u, err := s.Begin(b.Context(), key, -1)
		if err != nil {
			b.Fatal(err)
		}
		for off := int64(0); off < benchSize; off += 1 << 20 {
			if _, err := u.WriteAt(piece, off); err != nil {
				b.Fatal(err)
			}
		}
		if err := u.Seal(b.Context(), benchSize); err != nil {
			b.Fatal(err)
		}
		if err := u.Abort(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManager is the same by the SDK's own transfer manager.
func BenchmarkManager(b *testing.B) {
	server := s3test.Start(b, s3test.Versity())
	bucket := server.Bucket(b)
	up := manager.NewUploader(server.Client, func(u *manager.Uploader) { u.PartSize, u.Concurrency = 8<<20, 4 })
	all := bytes.Repeat(content(0, 1<<20), benchSize>>20)
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := up.Upload(b.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String("x"), Body: bytes.NewReader(all)}); err != nil {
			b.Fatal(err)
		}
	}
}
