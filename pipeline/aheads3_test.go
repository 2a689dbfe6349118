package pipeline_test

import (
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/s3client"
	"ingest/internal/s3test"
	"ingest/stores/s3"
)

// TestConversionAheadIntoABucket goes on in the multipart upload that the fetch began,
// on a real server, and leaves none of one that is refused.
func TestConversionAheadIntoABucket(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	rawPath := noiseDisk(t, aheadBytes)
	for _, c := range []struct {
		name, digest string
		want         errcode.Code
	}{{"good", fileDigest(t, rawPath), ""}, {"another digest", fileDigest(t, noiseDisk(t, 1<<20)), errcode.ChecksumMismatch}} {
		t.Run(c.name, func(t *testing.T) {
			client, err := s3client.New(t.Context(), s3client.Options{Endpoint: server.Endpoint, Region: s3test.Region,
				Keys: s3client.Keys{AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey}})
			if err != nil {
				t.Fatal(err)
			}
			bucket, err := s3.New("main", client, s3.Options{Bucket: server.Bucket(t)})
			if err != nil {
				t.Fatal(err)
			}
			g, url := newGate(t, rawPath, true, aheadGate)
			p, _ := newPipeline(t, t.TempDir(), loopback())
			p.Stores["main"] = bucket
			j := newJob(url, contract.TargetSpec{Format: "raw"})
			j.ahead, j.source.Checksum = true, c.digest
			f := j.beginFetch(t, p)
			f.until(t, bucket, 8<<20)
			g.release()
			if err = <-f.ended; err == nil {
				id, missing := bucket.Find(t.Context(), contract.DiskKey(j.task, j.image, 1, j.fetched.Pin(), 0))
				if missing != nil {
					t.Fatal(missing)
				}
				if err = j.build(t, p); err == nil && j.converted.UploadID != id {
					t.Errorf("converted into upload %s, the fetch began %s", j.converted.UploadID, id)
				}
			}
			if errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Store: "main", Key: j.key, Success: err == nil}); err != nil {
				t.Fatal(err)
			}
			for u, err := range bucket.Uploads(t.Context(), time.Now().Add(time.Hour)) {
				t.Errorf("left: %+v, %v", u, err)
			}
		})
	}
}
