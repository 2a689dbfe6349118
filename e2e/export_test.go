package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/internal/s3test"
)

// exportStall has a server stand still behind an export, before anybody is told.
const exportStall = "INGEST_TEST_STALL=export=10m"

// stored imports a raw disk and returns the image's id.
func (s *server) stored(raw string) string {
	s.t.Helper()
	return s.succeeded(s.submit(of(raw, contract.TargetSpec{Format: "raw"})).TaskID, contentOf(s.t, raw)).ID
}

// export begins an export and returns its task's id.
func (s *server) export(image string, target contract.TargetSpec, to contract.DestinationSpec) string {
	s.t.Helper()
	sub, err := s.api.Export(s.t.Context(), contract.ExportRequest{ImageID: image, Target: target, Destination: to})
	if err != nil {
		s.t.Fatal(err)
	}
	return sub.TaskID
}

// exported waits for the end of an export, and holds what lies at the destination against
// the raw disk, and against what the task says of it.
func (s *server) exported(id, raw, format, path string) contract.Exported {
	s.t.Helper()
	task := s.finished(id)
	if task.Status != "success" || task.Result == nil || task.Result.Exported == nil {
		s.t.Fatalf("the export has not succeeded: %s", show(task))
	}
	got := *task.Result.Exported
	st, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if got.Size != st.Size() || "sha256:"+got.HashValue != sha256Of(s.t, path) || got.DiskFormat != format {
		s.t.Errorf("at the destination are %d bytes, %s; the task says %s", st.Size(), sha256Of(s.t, path), show(got))
	}
	imgtest.QemuImg(s.t, "compare", "-f", "raw", "-F", format, raw, path)
	s.nothingLeft()
	return got
}

// diesBehind restarts the server so that it stands still behind the export, kills it when
// the destination is there, and restarts it for good.
func (s *server) diesBehind(id string, there func() bool) {
	s.t.Helper()
	s.restart(exportStall)
	s.goesOn(id)
	eventually(s.t, 2*time.Minute, "the destination", func() (bool, string) { return there(), show(s.progress(id)) })
	s.stalled(contract.StageExport)
	if task := s.task(id); task.Finished() {
		s.t.Fatalf("it does not stand still: %s", show(task))
	}
	s.kill9()
	s.restart()
	s.goesOn(id)
}

var exportTargets = []struct {
	name, format string
	target       contract.TargetSpec
}{
	{"as it is", "raw", contract.TargetSpec{}},
	{"compressed", "qcow2", contract.TargetSpec{Format: "qcow2", Compression: "zstd"}},
}

// An export to a file is killed in its middle and behind its end: the file appears once,
// whole, and nothing lies beside it.
func TestKill9DuringExportToAFile(t *testing.T) {
	t.Parallel()
	raw, root := disk(t, 101, 192*mib), t.TempDir()
	s3 := s3test.Start(t, s3test.Versity())
	far := s3test.NewProxy(t, s3)
	g := &gate{most: 64 * mib} // what is stored comes through it, so that no export ends before the kill
	g.open.Store(true)
	t.Cleanup(func() { g.open.Store(true) })
	far.Body(func(r *http.Request, body io.Reader) io.Reader {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/data/") {
			return gated{g, body}
		}
		return body
	})
	file := credentialsFile(t, fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", far.Endpoint, s3test.AccessKey, s3test.SecretKey))
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--export-roots", root,
		"--credentials", file, "--store", "cloud=s3://" + s3.Bucket(t) + "/images?credential=lab", "--default-store", "cloud"})
	image := s.stored(raw)
	for _, c := range exportTargets {
		t.Logf("sent %s", c.name)
		path := filepath.Join(root, "disk."+c.format)
		g.passed.Store(0)
		g.open.Store(false)
		id := s.export(image, c.target, contract.DestinationSpec{URL: "file://" + path})
		hidden := path[:len(root)+1] + "." + filepath.Base(path) + ".export-" + id
		eventually(t, time.Minute, "some bytes", func() (bool, string) {
			st, err := os.Stat(hidden)
			return err == nil && st.Size() > 8*mib, fmt.Sprint(err)
		})
		s.kill9()
		g.open.Store(true)
		if _, err := os.Stat(path); err == nil {
			t.Error("the file was there before it was whole")
		}
		exists := func() bool { _, err := os.Stat(path); return err == nil }
		s.diesBehind(id, exists)
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.exported(id, raw, c.format, path); !got.Verified {
			t.Errorf("not read back: %s", show(got))
		}
		if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
			t.Errorf("the file was written a second time: %v", err)
		}
		eventually(t, 20*time.Second, "nothing beside the file", func() (bool, string) {
			left, _ := filepath.Glob(filepath.Join(root, ".*"))
			return len(left) == 0, show(left)
		})
	}
}

// An export to a bucket goes on with the parts that are there, finds its object behind the
// last step, and leaves no multipart upload.
func TestKill9DuringExportToABucket(t *testing.T) {
	t.Parallel()
	raw := disk(t, 102, 96*mib)
	minio := s3test.Start(t, s3test.Minio(t))
	bucket, proxy := minio.Bucket(t), s3test.NewProxy(t, minio)
	var most, parts atomic.Int64 // parts that are let pass, 0 for all; those that came
	proxy.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if most.Load() == 0 || r.Method != http.MethodPut || !r.URL.Query().Has("partNumber") || parts.Add(1) <= most.Load() {
			return true
		}
		for most.Load() > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		return false
	})
	t.Cleanup(func() { most.Store(0) })
	file := credentialsFile(t, fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", proxy.Endpoint, s3test.AccessKey, s3test.SecretKey))
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--credentials", file, "--export-buckets", bucket})
	image := s.stored(raw)
	for _, c := range exportTargets {
		t.Logf("sent %s", c.name)
		parts.Store(0)
		most.Store(4)
		key := "exports/disk." + c.format
		id := s.export(image, c.target, contract.DestinationSpec{URL: "s3://" + bucket + "/" + key, Credential: "lab"})
		// A sender has one part on its way: when all three are held up, the four are there.
		eventually(t, 2*time.Minute, "more parts than are let pass", func() (bool, string) { return parts.Load() > 6, show(s.progress(id)) })
		s.kill9()
		most.Store(0)
		head := func() error {
			_, err := minio.Client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &bucket, Key: &key})
			return err
		}
		if head() == nil {
			t.Error("the object was there before it was whole")
		}
		before := proxy.Sent.Load()
		s.diesBehind(id, func() bool { return head() == nil })
		path := filepath.Join(t.TempDir(), "disk")
		out, err := minio.Client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		save(t, path, out.Body)
		if got := s.exported(id, raw, c.format, path); !got.Verified || proxy.Sent.Load()-before > got.Size-3*8*mib {
			t.Errorf("%d bytes were sent behind the first kill, of %s", proxy.Sent.Load()-before, show(got))
		}
		eventually(t, 20*time.Second, "no multipart upload", func() (bool, string) {
			all, err := minio.Client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: aws.String(key)})
			return err == nil && len(all.Uploads) == 0, fmt.Sprint(err)
		})
	}
}

func save(t testing.TB, path string, body io.ReadCloser) {
	t.Helper()
	defer body.Close()
	raw, err := io.ReadAll(body)
	if err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A putServer keeps what it is sent whole, and nothing in the place of what it has.
type putServer struct {
	*httptest.Server
	slow   atomic.Bool // stands still behind some bytes
	held   atomic.Int64
	mu     sync.Mutex
	kept   map[string][]byte
	before int // requests
}

func (p *putServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.before++
	_, there := p.kept[r.URL.Path]
	p.mu.Unlock()
	if there && r.Header.Get("If-None-Match") == "*" {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	var body bytes.Buffer
	for p.slow.Load() {
		if n, _ := io.CopyN(&body, r.Body, mib); n < mib || r.Context().Err() != nil {
			return
		}
		p.held.Store(int64(body.Len()))
		for p.slow.Load() && body.Len() > 8*mib && r.Context().Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
	}
	_, err := io.Copy(&body, r.Body)
	if err != nil || int64(body.Len()) != r.ContentLength {
		return
	}
	p.mu.Lock()
	p.kept[r.URL.Path] = body.Bytes()
	p.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

func (p *putServer) get(path string) (body []byte, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept[path], p.before
}

// An export by PUT is sent anew when it was cut off, and not when it was taken.
func TestKill9DuringExportByPut(t *testing.T) {
	t.Parallel()
	raw := disk(t, 103, 64*mib)
	to := &putServer{kept: map[string][]byte{}}
	to.Server = httptest.NewServer(to)
	t.Cleanup(func() { to.slow.Store(false); to.CloseClientConnections(); to.Close() })
	s := start(t, append([]string{"--file-roots", filepath.Dir(raw)}, loopback...))
	image := s.stored(raw)
	for _, c := range exportTargets {
		t.Logf("sent %s", c.name)
		to.slow.Store(true)
		to.held.Store(0)
		name := "/disk." + c.format
		id := s.export(image, c.target, contract.DestinationSpec{URL: to.URL + name})
		eventually(t, time.Minute, "some bytes", func() (bool, string) { return to.held.Load() > 8*mib, show(s.progress(id)) })
		s.kill9()
		to.slow.Store(false)
		if body, _ := to.get(name); body != nil {
			t.Error("the file was there before it was whole")
		}
		s.diesBehind(id, func() bool { body, _ := to.get(name); return body != nil })
		body, requests := to.get(name)
		path := filepath.Join(t.TempDir(), "disk")
		save(t, path, io.NopCloser(bytes.NewReader(body)))
		if got := s.exported(id, raw, c.format, path); got.Verified || !strings.HasPrefix(got.Destination, to.URL) {
			t.Errorf("%s", show(got))
		}
		if _, now := to.get(name); now != requests {
			t.Errorf("it was sent %d times more", now-requests)
		}
	}
}
