package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
)

// The same key submitted many times at once is one task and one image.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	raw := disk(t, 11, 8*mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw)})
	const many = 20
	req := of(raw, contract.TargetSpec{Format: "qcow2"})
	req.Image.Name = filepath.Base(raw)
	req.IdempotencyKey = "the-same-key"
	answers := make([]wire.Submitted, many)
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { answers[i], errs[i] = s.api.Import(t.Context(), req) })
	}
	wg.Wait()
	first := 0
	for i, a := range answers {
		if errs[i] != nil {
			t.Fatalf("submission %d: %v", i, errs[i])
		}
		if a.TaskID != answers[0].TaskID || a.ImageID != answers[0].ImageID {
			t.Errorf("submission %d is task %s, image %s; the first is %s, %s", i, a.TaskID, a.ImageID, answers[0].TaskID, answers[0].ImageID)
		}
		if !a.Existed {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d submissions say that they were the first", first)
	}
	s.succeeded(answers[0].TaskID, contentOf(t, raw))

	again := ingest(t, "import", raw, "--server", s.url, "--to", "qcow2", "--idempotency-key", req.IdempotencyKey, "--no-wait", "--json")
	var sub wire.Submitted
	if again.code != 0 || json.Unmarshal([]byte(again.stdout), &sub) != nil || sub.TaskID != answers[0].TaskID || !sub.Existed {
		t.Errorf("the command with the same key: %+v", again)
	}
	other := ingest(t, "import", raw, "--server", s.url, "--to", "raw", "--idempotency-key", req.IdempotencyKey, "--no-wait", "--json")
	if other.code != 1 || !strings.Contains(other.stderr, "IDEMPOTENCY_KEY_REUSED") {
		t.Errorf("another request with the same key: %+v", other)
	}
	images, err := s.api.Images(t.Context(), nil, 0)
	tasks, terr := s.api.Tasks(t.Context(), nil, 0)
	if err != nil || terr != nil || len(images) != 1 || len(tasks) != 1 {
		t.Errorf("%d images, %d tasks, want one of each (%v, %v)", len(images), len(tasks), err, terr)
	}
}

// call sends a request as any HTTP client would.
func (s *server) call(method, path string, header map[string]string, body any) (int, http.Header, []byte) {
	s.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

// object calls and decodes the answer as a client of Glance would.
func (s *server) object(want int, method, path string, body any) map[string]any {
	s.t.Helper()
	status, _, b := s.call(method, path, nil, body)
	if status != want {
		s.t.Fatalf("%s %s: %d, want %d: %s", method, path, status, want, b)
	}
	var out map[string]any
	if len(b) > 0 && json.Unmarshal(b, &out) != nil {
		s.t.Fatalf("%s %s: no object: %s", method, path, b)
	}
	return out
}

// The life of an image, by Glance's own calls only.
func TestGlanceRoutes(t *testing.T) {
	t.Parallel()
	raw := disk(t, 12, 16*mib)
	qcow2 := imgtest.Convert(t, raw, "raw", "qcow2")
	from := serveFile(t, qcow2, true, 0)
	s := start(t, loopback)
	made := s.object(http.StatusCreated, "POST", "/v2/images", map[string]any{
		"name": "by Glance", "disk_format": "qcow2", "container_format": "bare", "os_distro": "debian",
	})
	id := fmt.Sprint(made["id"])
	if made["status"] != "queued" || made["os_distro"] != "debian" {
		t.Errorf("made %v", made)
	}
	if status, _, b := s.call("GET", "/v2/images/"+id+"/file", nil, nil); status != http.StatusNoContent {
		t.Errorf("file of an image without data: %d %s", status, b)
	}
	s.object(http.StatusAccepted, "POST", "/v2/images/"+id+"/import", map[string]any{
		"method": map[string]any{"name": "web-download", "uri": from.URL},
	})
	var img map[string]any
	eventually(t, time.Minute, "the image", func() (bool, string) {
		img = s.object(http.StatusOK, "GET", "/v2/images/"+id, nil)
		return img["status"] == "active", show(img)
	})
	checkFile(t, s, id, img)

	tasks := s.object(http.StatusOK, "GET", "/v2/images/"+id+"/tasks", nil)["tasks"].([]any)
	if len(tasks) != 1 || tasks[0].(map[string]any)["status"] != "success" || tasks[0].(map[string]any)["type"] != "api_image_import" {
		t.Errorf("tasks of the image: %v", tasks)
	}
	s.nothingLeft()
	if n := len(files(t, s.path("store", "objects"))); n != 2 {
		t.Errorf("%d files in the store, want an object and its record", n)
	}
	s.object(http.StatusNoContent, "DELETE", "/v2/images/"+id, nil)
	s.object(http.StatusNotFound, "GET", "/v2/images/"+id, nil)
	if left := files(t, s.path("store", "objects")); len(left) != 0 {
		t.Errorf("the store keeps a deleted image: %v", left)
	}
}

// checkFile downloads an image whole and in ranges.
func checkFile(t *testing.T, s *server, id string, img map[string]any) {
	t.Helper()
	status, header, whole := s.call("GET", "/v2/images/"+id+"/file", nil, nil)
	sum := sha256.Sum256(whole)
	if status != http.StatusOK || img["os_hash_value"] != hex.EncodeToString(sum[:]) || img["size"] != float64(len(whole)) {
		t.Fatalf("download: %d, %d bytes with sha256 %x; the image says %v", status, len(whole), sum, img)
	}
	if header.Get("Content-Type") != "application/octet-stream" || header.Get("Content-Length") != fmt.Sprint(len(whole)) {
		t.Errorf("download: %v", header)
	}
	for _, c := range []struct {
		ask         string
		status      int
		first, last int // of the answer
	}{
		{"bytes=0-0", http.StatusPartialContent, 0, 0},
		{"bytes=1000000-1999999", http.StatusPartialContent, 1000000, 1999999},
		{fmt.Sprintf("bytes=%d-", len(whole)-10), http.StatusPartialContent, len(whole) - 10, len(whole) - 1},
		{"bytes=-7", http.StatusPartialContent, len(whole) - 7, len(whole) - 1},
		{fmt.Sprintf("bytes=%d-", len(whole)), http.StatusRequestedRangeNotSatisfiable, 0, 0},
	} {
		status, header, b := s.call("GET", "/v2/images/"+id+"/file", map[string]string{"Range": c.ask}, nil)
		if status != c.status {
			t.Errorf("%s: %d, want %d", c.ask, status, c.status)
		}
		if status != http.StatusPartialContent {
			continue
		}
		if !bytes.Equal(b, whole[c.first:c.last+1]) || header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", c.first, c.last, len(whole)) {
			t.Errorf("%s: %d bytes, %s", c.ask, len(b), header.Get("Content-Range"))
		}
	}
	path := filepath.Join(t.TempDir(), "download.qcow2")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	imgtest.QemuImg(t, "check", "-q", path)
}
