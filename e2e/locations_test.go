package e2e

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
)

// place puts a file into the server's store as somebody else does, and returns its URL.
func (s *server) place(name string, body []byte) string {
	s.t.Helper()
	path := s.path("store", "external", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return "file://" + path
}

// TestKill9DuringLocationImport kills the server while it looks at an object that was in
// its store before: the image becomes active with that very object, which outlives it.
func TestKill9DuringLocationImport(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(disk(t, 97, 16*mib))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"--show-image-direct-url", "--show-multiple-locations"}, "INGEST_TEST_STALL=locate=1h")
	url := s.place("golden/disk.raw", body)
	sum := sha512.Sum512(body)
	path, id := s.queued("raw")
	ask := map[string]any{"url": url, "validation_data": map[string]any{"os_hash_algo": "sha512", "os_hash_value": hex.EncodeToString(sum[:])}}
	status, head, raw := s.call("POST", path+"/locations", nil, ask)
	if status != 202 || len(raw) > 0 {
		t.Fatalf("%d %s", status, raw)
	}
	task := head.Get("X-Ingest-Task-Id")
	s.await(task, contract.StageLocate, 16*mib)
	s.becomes(path, "importing")
	s.kill9()
	s.restart("INGEST_TEST_STALL=")
	s.goesOn(task)
	s.becomes(path, "active")
	img := s.object(200, "GET", path, nil)
	if img["direct_url"] != url || img["os_hash_algo"] != "sha512" || img["os_hash_value"] != hex.EncodeToString(sum[:]) {
		t.Errorf("the image is %s", show(img))
	}
	if status, _, got := s.call("GET", path+"/file", nil, nil); status != 200 || !bytes.Equal(got, body) {
		t.Errorf("got %d and %d bytes", status, len(got))
	}
	if left := s.left("store/objects"); len(left) > 0 {
		t.Errorf("something was stored: %q", left)
	}
	if got := s.task(task); got.Type != "location_import" || got.Status != "success" {
		t.Errorf("the task is %s", show(got))
	}
	s.object(204, "DELETE", "/v2/images/"+id, nil)
	time.Sleep(time.Second)
	if now, err := os.ReadFile(strings.TrimPrefix(url, "file://")); err != nil || !bytes.Equal(now, body) {
		t.Errorf("the file went with the image: %v", err)
	}
}
