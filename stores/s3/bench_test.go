package s3

import (
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/s3test"
	"ingest/stores"
)

const benchSize = 256 << 20

// BenchmarkUpload writes an object in order, as a plan does, and the same by the SDK's
// own transfer manager, in turn: what the machine does besides meets both. The manager
// is given a stream, since no image is in memory as a whole. It reports how often the
// store's way fits into the manager's, by the clock and by what this process has
// computed.
func BenchmarkUpload(b *testing.B) {
	for _, sum := range []string{"crc64nvme", "crc32c", "none"} {
		b.Run(sum, func(b *testing.B) {
			server := s3test.Start(b, s3test.Versity())
			s := open(b, server.Endpoint, Options{Bucket: server.Bucket(b), Checksum: sum})
			bucket := server.Bucket(b)
			up := manager.NewUploader(server.Client, func(u *manager.Uploader) { u.PartSize, u.Concurrency = 8<<20, 4 })
			piece := content(0, 1<<20)
			var here, there spent
			b.SetBytes(2 * benchSize)
			for b.Loop() {
				var u stores.Upload
				here.add(b, func() { u = benchStore(b, s, piece) })
				if err := u.Abort(b.Context()); err != nil {
					b.Fatal(err)
				}
				there.add(b, func() {
					_, err := up.Upload(b.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String("x"), Body: &endless{piece: piece, left: benchSize}})
					if err != nil {
						b.Fatal(err)
					}
				})
				if _, err := server.Client.DeleteObject(b.Context(), &awss3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("x")}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(there.clock)/float64(here.clock), "of-manager's-rate")
			b.ReportMetric(float64(there.cpu)/float64(here.cpu), "of-manager's-cpu-rate")
			b.ReportMetric(float64(here.cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

func benchStore(b *testing.B, s *Store, piece []byte) stores.Upload {
	u, err := s.Begin(b.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), benchSize)
	if err != nil {
		b.Fatal(err)
	}
	for off := int64(0); off < benchSize; off += int64(len(piece)) {
		if _, err := u.WriteAt(piece, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := u.Seal(b.Context(), benchSize); err != nil {
		b.Fatal(err)
	}
	return u
}

// endless is a piece again and again, up to an end.
type endless struct {
	piece []byte
	left  int
}

func (s *endless) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.left)], s.piece[(benchSize-s.left)%len(s.piece):])
	s.left -= n
	return n, nil
}

// spent is the time of one way.
type spent struct{ clock, cpu time.Duration }

func (s *spent) add(b *testing.B, fn func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start, cpu := time.Now(), used()
	fn()
	s.clock += time.Since(start)
	s.cpu += used() - cpu
}
