package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/s3test"
	"ingest/stores"
)

// TestMain is the process that tests kill when it is told an endpoint.
func TestMain(m *testing.M) {
	if os.Getenv("S3_STORE_WRITE") != "" {
		if err := writeForEver(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	killSize  = 160 << 20
	killPiece = 1 << 20
	killNotes = 13 // pieces between two checkpoints
)

// writeForEver goes on with the upload of the environment from its note, seals
// it at its end, and prints the id at once.
func writeForEver() error {
	ctx := context.Background()
	s := openQuiet(os.Getenv("S3_STORE_WRITE"), Options{Bucket: os.Getenv("S3_STORE_BUCKET")})
	key := os.Getenv("S3_STORE_KEY")
	var u stores.Upload
	id, err := s.Find(ctx, key)
	if err == nil {
		u, err = s.Resume(ctx, id)
	} else {
		u, err = s.Begin(ctx, key, -1)
	}
	if err != nil {
		return err
	}
	from := int64(0)
	if n := u.Note(); n != nil {
		from, _ = strconv.ParseInt(string(n), 10, 64)
	}
	for off := from; off < killSize; off += killPiece {
		if _, err := u.WriteAt(content(off, killPiece), off); err != nil {
			return err
		}
		fmt.Println(off + killPiece)
		if (off/killPiece+1)%killNotes == 0 {
			if err := u.Checkpoint(ctx, []byte(strconv.FormatInt(off+killPiece, 10))); err != nil {
				return err
			}
		}
	}
	if err := u.Seal(ctx, killSize); err != nil {
		return err
	}
	return u.Commit(ctx, stores.Digest{Algo: "sha256", Hex: "00", Size: killSize})
}

func openQuiet(endpoint string, o Options) *Store {
	var tb quiet
	return open(&tb, endpoint, o)
}

// quiet is a testing.TB outside of a test.
type quiet struct{ testing.TB }

func (*quiet) Helper()           {}
func (*quiet) Fatal(args ...any) { fmt.Fprintln(os.Stderr, args...); os.Exit(1) }

// TestKilled kills a writing process again and again, and counts at a proxy
// what is sent more than once.
func TestKilled(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			server := s3test.Start(t, kind)
			proxy := s3test.NewProxy(t, server)
			bucket, key := server.Bucket(t), stores.NewKey(uuid.NewString(), uuid.NewString())
			kills := 0
			for {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "S3_STORE_WRITE="+proxy.Endpoint, "S3_STORE_BUCKET="+bucket, "S3_STORE_KEY="+key)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if kills < 5 {
					b := make([]byte, 1)
					for lines := 0; lines < 20+rand.IntN(20); {
						if _, err := out.Read(b); err != nil {
							break
						}
						if b[0] == '\n' {
							lines++
						}
					}
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
					kills++
					continue
				}
				_, _ = io.Copy(io.Discard, out)
				if err := cmd.Wait(); err != nil {
					t.Fatalf("%v: %s", err, stderr.String())
				}
				break
			}
			s := open(t, server.Endpoint, Options{Bucket: bucket})
			wantContent(t, s, key, killSize)
			// A kill costs what was being sent, 4 parts of 8 MiB at most, and what
			// was written behind the last note of a part that was not whole.
			more := proxy.Sent.Load() - killSize
			if limit := int64(kills) * (4*8 + killNotes + 8) << 20; more > limit {
				t.Errorf("%d bytes were sent more than once, over %d kills; at most %d", more, kills, limit)
			}
			t.Logf("%d kills cost %d KiB", kills, more>>10)
		})
	}
}
