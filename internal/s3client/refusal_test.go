package s3client_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/s3client"
)

// A server that never ends its refusal is not listened to.
func TestEndlessRefusal(t *testing.T) {
	const most = 512 << 20
	var sent atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		for p := make([]byte, 1<<20); sent.Load() < most; sent.Add(int64(len(p))) {
			if _, err := w.Write(p); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	c, err := s3client.New(t.Context(), s3client.Options{Endpoint: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("key")}); err == nil {
		t.Error("a refusal is a success")
	}
	srv.Close() // waits for the answer's end
	if n := sent.Load(); n > 64<<20 {
		t.Errorf("%d bytes of a refusal were sent", n)
	}
}
