package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/contract"
)

// put sends a body as clients send an image.
func (s *server) put(path string, body io.Reader) (int, []byte, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), "PUT", s.url+path, body)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, raw, err
}

// sent puts a body and wants it to be taken.
func (s *server) sent(path string, body []byte) {
	s.t.Helper()
	if status, raw, err := s.put(path, bytes.NewReader(body)); err != nil || status != 204 {
		s.t.Fatalf("PUT %s: %d %s, %v", path, status, raw, err)
	}
}

func (s *server) queued(format string) (path, id string) {
	s.t.Helper()
	img := s.object(201, "POST", "/v2/images", map[string]any{"name": "up", "disk_format": format, "container_format": "bare"})
	id = img["id"].(string)
	return "/v2/images/" + id, id
}

func (s *server) becomes(path, status string) {
	s.t.Helper()
	eventually(s.t, time.Minute, "status "+status, func() (bool, string) {
		got := s.object(200, "GET", path, nil)
		return got["status"] == status, show(got)
	})
}

func asQCOW2(t *testing.T, raw string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "disk.qcow2")
	if text, err := exec.Command("qemu-img", "convert", "-O", "qcow2", raw, out).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, text)
	}
	return out
}

// left lists the files that stand below a folder of the data folder.
func (s *server) left(dir string) []string {
	s.t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(s.data, dir), func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// TestKill9DuringUpload kills the server while it receives an image: the image is
// queued again, nothing of it is left, and it takes the bytes once more.
func TestKill9DuringUpload(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(disk(t, 31, 8*mib))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	for _, at := range []struct{ route, during, dir string }{{"/file", "saving", "store"}, {"/stage", "uploading", "staging"}} {
		path, _ := s.queued("raw")
		rest, send := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, _, err := s.put(path+at.route, rest)
			ended <- err
		}()
		if _, err := send.Write(body[:4*mib]); err != nil {
			t.Fatal(err)
		}
		s.becomes(path, at.during)
		s.kill9()
		send.CloseWithError(io.ErrClosedPipe)
		if <-ended == nil {
			t.Error("the client was told nothing")
		}
		s.restart()
		s.becomes(path, "queued")
		eventually(t, time.Minute, "nothing left", func() (bool, string) {
			left := s.left(at.dir)
			return len(left) == 0, show(left)
		})
		s.sent(path+"/file", body)
		img := s.object(200, "GET", path, nil)
		if img["status"] != "active" {
			t.Fatalf("the image is %s", show(img))
		}
		status, _, got := s.call("GET", path+"/file", nil, nil)
		if status != 200 || !bytes.Equal(got, body) {
			t.Errorf("got %d and %d bytes back", status, len(got))
		}
		if status, _, raw := s.call("DELETE", path, nil, nil); status != 204 {
			t.Fatalf("%d %s", status, raw)
		}
	}
}

// TestKill9DuringStagedImport kills the server in the middle of the import of what a
// client has staged: it goes on, and nothing stays in the staging folder.
func TestKill9DuringStagedImport(t *testing.T) {
	t.Parallel()
	raw := disk(t, 32, 384*mib)
	body, err := os.ReadFile(asQCOW2(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"--output-compression", "zlib", "--workers", "1"}) // takes seconds
	path, id := s.queued("qcow2")
	s.sent(path+"/stage", body)
	s.kill9() // what was staged waits
	s.restart()
	status, header, answer := s.call("POST", path+"/import", nil, map[string]any{"method": map[string]any{"name": "glance-direct"}})
	if status != 202 {
		t.Fatalf("%d %s", status, answer)
	}
	task := header.Get("X-Ingest-Task-Id")
	eventually(t, time.Minute, "the conversion", func() (bool, string) {
		got := s.task(task)
		if got.Finished() {
			t.Fatalf("the task ended before: %s", show(got))
		}
		return got.Stage == string(contract.StageConvert), show(got)
	})
	time.Sleep(200 * time.Millisecond)
	s.crash(task)
	s.succeeded(task, contentOf(t, raw))
	if img := s.object(200, "GET", "/v2/images/"+id, nil); img["status"] != "active" {
		t.Errorf("the image is %s", show(img))
	}
	eventually(t, time.Minute, "nothing left in staging", func() (bool, string) {
		left := s.left("staging")
		return len(left) == 0, show(left)
	})
}

// TestOpenstackSendsImages has OpenStack's own client send, stage, save and be refused.
func TestOpenstackSendsImages(t *testing.T) {
	t.Parallel()
	raw := disk(t, 33, 16*mib)
	qcow2 := asQCOW2(t, raw)
	s := start(t, nil)
	openstack := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "openstack", append([]string{"--os-auth-type", "none", "--os-endpoint", s.url, "image"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, c := range [][]string{
		{"create", "sent", "--disk-format", "qcow2", "--container-format", "bare", "--file", qcow2},
		{"create", "staged", "--disk-format", "qcow2", "--container-format", "bare", "--import", "--file", qcow2},
	} {
		if out, err := openstack(c...); err != nil {
			t.Fatalf("%v: %v %s", c, err, out)
		}
	}
	eventually(t, time.Minute, "two active images", func() (bool, string) {
		list := s.object(200, "GET", "/v2/images?status=active", nil)
		return len(list["images"].([]any)) == 2, show(list)
	})
	back := filepath.Join(t.TempDir(), "back")
	if out, err := openstack("save", "--file", back, "sent"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if sha256Of(t, back) != sha256Of(t, qcow2) {
		t.Error("other bytes came back")
	}
	if out, err := openstack("create", "wrong", "--disk-format", "qcow2", "--container-format", "bare", "--file", raw); err == nil {
		t.Errorf("a raw disk was taken for a qcow2: %s", out)
	}
}
