package s3

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/stores"
)

// TestEncryptionAndClass asks MinIO, by another client, how it keeps what was stored
// under each option: one object in parts, and one in a single request.
func TestEncryptionAndClass(t *testing.T) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	server := s3test.Start(t, s3test.Minio(t).With("MINIO_KMS_SECRET_KEY=images:"+base64.StdEncoding.EncodeToString(key)))
	for name, tt := range map[string]struct {
		o              Options
		sse, kms, kept string
	}{
		"plain":              {},
		"SSE-S3":             {o: Options{Encryption: "AES256"}, sse: "AES256"},
		"SSE-KMS":            {o: Options{Encryption: "aws:kms"}, sse: "aws:kms", kms: "arn:aws:kms:images"},
		"SSE-KMS with a key": {o: Options{Encryption: "aws:kms", KMSKey: "images"}, sse: "aws:kms", kms: "arn:aws:kms:images"},
		"class":              {o: Options{StorageClass: "REDUCED_REDUNDANCY"}, kept: "REDUCED_REDUNDANCY"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.Bucket = server.Bucket(t)
			s := open(t, server.Endpoint, tt.o)
			for _, size := range []int64{1 << 20, 10 << 20} {
				key := stores.NewKey(uuid.NewString(), uuid.NewString())
				u, err := s.Begin(t.Context(), key, size)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := u.WriteAt(content(0, size), 0); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(u.Checkpoint(t.Context(), []byte("x")), u.Seal(t.Context(), size), u.Commit(t.Context(), stores.Digest{Size: size})); err != nil {
					t.Fatalf("%v (%v)", err, errors.Unwrap(err))
				}
				out, err := server.Client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &tt.o.Bucket, Key: aws.String(s.dataPath(u.ID()))})
				if err != nil {
					t.Fatal(err)
				}
				if string(out.ServerSideEncryption) != tt.sse || aws.ToString(out.SSEKMSKeyId) != tt.kms || string(out.StorageClass) != tt.kept {
					t.Errorf("%d bytes are kept as %q, %q, %q", size, out.ServerSideEncryption, aws.ToString(out.SSEKMSKeyId), out.StorageClass)
				}
				wantContent(t, s, key, size)
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	// A key that there is not is refused, with the first byte that would be stored.
	s := open(t, server.Endpoint, Options{Bucket: server.Bucket(t), Encryption: "aws:kms", KMSKey: "nothing"})
	if err := s.Check(t.Context()); errcode.Of(err) != errcode.StoreUnavailable {
		t.Errorf("a key that is not there: %v", err)
	}
	if err := open(t, server.Endpoint, Options{Bucket: server.Bucket(t), StorageClass: "NOTHING"}).Check(t.Context()); err != nil {
		t.Errorf("the class is of the images only: %v", err)
	}
}
