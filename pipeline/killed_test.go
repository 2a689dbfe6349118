package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/pipeline"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

// stagerEnv tells the test binary to stage: "folder task url digest".
const stagerEnv = "INGEST_TEST_STAGER"

// loopbackPipeline stages from web servers on this host.
func loopbackPipeline(dir string) *pipeline.Pipeline {
	return &pipeline.Pipeline{StagingDir: dir, Sources: sources.Set{httpsource.New(httpsource.Options{
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Backoff: time.Millisecond,
	})}}
}

// stageAsChild is the whole life of the process that is killed.
func stageAsChild() {
	args := strings.Fields(os.Getenv(stagerEnv))
	f := contract.FetchParams{TaskID: args[1], Source: contract.SourceSpec{URL: args[2], Checksum: args[3], Format: "raw"}}
	_, err := loopbackPipeline(args[0]).Fetch(context.Background(), f, nil)
	fmt.Println(err)
}

// meteredSite is a server that counts the bytes of the content that it gives away, and
// at some point gives no more.
type meteredSite struct {
	content []byte
	tag     string
	sent    atomic.Int64
	most    atomic.Int64 // bytes, 0 for any number
	full    chan struct{}
}

func (c *meteredSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", c.tag)
	http.ServeContent(&meteredWriter{w, r, c}, r, "", time.Time{}, bytes.NewReader(c.content))
}

type meteredWriter struct {
	http.ResponseWriter
	r *http.Request
	c *meteredSite
}

func (w *meteredWriter) Write(p []byte) (int, error) {
	if most := w.c.most.Load(); most > 0 && w.c.sent.Load() >= most {
		select {
		case w.c.full <- struct{}{}:
		default:
		}
		<-w.r.Context().Done()
		return 0, io.ErrClosedPipe
	}
	w.c.sent.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

// TestKilledFetchAsksForNothingTwice kills a process while it stages, at several
// points, and lets another one go on. By the server's count at most the ranges that
// were in flight are sent again.
func TestKilledFetchAsksForNothingTwice(t *testing.T) {
	const size = 128<<20 + 12345
	content := sourcetest.Content(size, 7)
	c := &meteredSite{content: content, tag: `"one"`, full: make(chan struct{}, 1)}
	srv := httptest.NewServer(c)
	defer srv.Close()
	dir, task := t.TempDir(), uuid.NewString()
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	points := []int64{30, 60, 95}
	for _, percent := range points {
		c.most.Store(size / 100 * percent)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), stagerEnv+"="+strings.Join([]string{dir, task, srv.URL + "/disk.raw", sum}, " "))
		var out bytes.Buffer
		child.Stdout, child.Stderr = &out, &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.full:
			time.Sleep(50 * time.Millisecond) // what has arrived is written
		case <-time.After(2 * time.Minute):
			t.Error("the child does not stage")
		}
		child.Process.Kill()
		child.Wait()
		if out.Len() > 0 {
			t.Fatalf("the child ended by itself: %s", out.String())
		}
		// A request of the dead may have told that it was full, too.
		select {
		case <-c.full:
		default:
		}
	}
	c.most.Store(0)
	p := loopbackPipeline(dir)
	f := contract.FetchParams{TaskID: task, Source: contract.SourceSpec{URL: srv.URL + "/disk.raw", Checksum: sum, Format: "raw"}}
	got, err := p.Fetch(t.Context(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.SourceDigest != sum || got.Size != size {
		t.Errorf("fetched %d bytes of %s, want %d of %s", got.Size, got.SourceDigest, size, sum)
	}
	staged, err := os.ReadFile(filepath.Join(dir, task, "source"))
	if err != nil || !bytes.Equal(staged, content) {
		t.Errorf("the %d staged bytes are not the source's, %v", len(staged), err)
	}
	again := c.sent.Load() - size
	t.Logf("%d bytes were sent again after %d kills", again, len(points))
	// 16 ranges of 2 MiB; and what a layer is told by, which every attempt reads.
	const inFlight, head = 32 << 20, 1 << 20
	if most := int64(len(points)) * (inFlight + head); again > most {
		t.Errorf("%d bytes were sent again, want at most %d", again, most)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, task)); len(left) != 2 {
		t.Errorf("beside the staged file and its sidecar there is more: %v", left)
	}
}
