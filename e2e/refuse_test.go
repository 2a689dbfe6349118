package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// canary stands in files of the host that no image may bring in.
const canary = "a canary of this host 5d1f3c"

// hidden writes a file full of canaries and returns its path.
func hidden(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hidden")
	if err := os.WriteFile(path, bytes.Repeat([]byte(canary+"\n"), 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noCanary checks that none is in the data folder, in the log, or in what the
// API says of the task.
func (s *server) noCanary(id string) {
	s.t.Helper()
	if strings.Contains(s.log(), canary) {
		s.t.Error("the log holds bytes of the hidden file")
	}
	task := s.task(id)
	for _, path := range []string{"/v1/tasks/" + id, "/v1/tasks/" + id + "/events", "/v2/tasks/" + id, "/v2/images/" + task.ImageID, "/v2/images/" + task.ImageID + "/file"} {
		if _, _, b := s.call("GET", path, nil, nil); bytes.Contains(b, []byte(canary)) {
			s.t.Errorf("%s holds bytes of the hidden file", path)
		}
	}
	for _, path := range files(s.t, s.data) {
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			s.t.Error(err)
		}
		if bytes.Contains(b, []byte(canary)) {
			s.t.Errorf("%s holds bytes of the hidden file", path)
		}
	}
}

// into copies a file into a folder, without its last cut bytes.
func into(t testing.TB, dir, name, path string, cut int64) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, name)
	if err := os.WriteFile(to, b[:int64(len(b))-cut], 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	root, secret := t.TempDir(), hidden(t)
	raw := disk(t, 7, 8*mib)
	whole := into(t, root, "whole.raw", raw, 0)
	for name, backing := range map[string]string{"backing.qcow2": secret, "hostname.qcow2": "/etc/hostname"} {
		imgtest.QemuImg(t, "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", backing, filepath.Join(root, name), "8M")
	}
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(root, "data"), filepath.Join(root, "data.qcow2"), "8M")
	truncated := into(t, root, "truncated.qcow2", imgtest.Convert(t, raw, "raw", "qcow2"), 3*mib)
	from := serveFile(t, raw, true, 0)
	if err := os.Symlink(secret, filepath.Join(root, "link.raw")); err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"--file-roots", root}) // and no --allow-net

	for _, c := range []struct {
		name, url, checksum string
		code                errcode.Code
	}{
		{"backing file", filepath.Join(root, "backing.qcow2"), "", errcode.QCOW2BackingFile},
		{"backing file of the system", filepath.Join(root, "hostname.qcow2"), "", errcode.QCOW2BackingFile},
		{"data file", filepath.Join(root, "data.qcow2"), "", errcode.QCOW2DataFile},
		{"truncated", truncated, "", errcode.Truncated},
		{"wrong checksum", whole, "sha256:" + strings.Repeat("0", 64), errcode.ChecksumMismatch},
		{"missing file", filepath.Join(root, "nothing.raw"), "", errcode.SourceNotFound},
		{"outside the roots", secret, "", errcode.SourceOutsideRoots},
		{"outside the roots by dots", root + "/../" + filepath.Base(filepath.Dir(secret)) + "/hidden", "", errcode.SourceOutsideRoots},
		{"link out of the roots", filepath.Join(root, "link.raw"), "", errcode.SourceOutsideRoots},
		{"folder", root, "", errcode.SourceNotRegular},
		{"blocked address", from.URL, "", errcode.SourceAddrBlocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			req := of(c.url, contract.TargetSpec{Format: "qcow2"})
			req.Source.Checksum = c.checksum
			id := s.submit(req).TaskID
			task := s.failed(id, string(c.code))
			if task.Error.Evidence == nil {
				t.Errorf("the failure comes without evidence: %s", show(task.Error))
			}
			s.noCanary(id)
		})
	}
	// The server is none the worse for it.
	id := s.submit(of(whole, contract.TargetSpec{Format: "qcow2"})).TaskID
	s.succeeded(id, contentOf(t, whole))
}

// Every bad image of testdata is refused with the code of its illness.
func TestBadImages(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "testdata", "images")
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Images []struct{ Path, Code, Illness string }
	}
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	s := start(t, []string{"--file-roots", root})
	var tasks []string
	var codes []string
	for _, img := range manifest.Images {
		if img.Code == "" {
			continue
		}
		path := filepath.Join(root, strings.ReplaceAll(img.Path, "/", "-"))
		unzip(t, filepath.Join(dir, img.Path), path)
		tasks = append(tasks, s.submit(of(path, contract.TargetSpec{Format: "raw"})).TaskID)
		codes = append(codes, img.Code)
	}
	if len(tasks) < 30 {
		t.Fatalf("only %d bad images are listed", len(tasks))
	}
	for i, id := range tasks {
		s.finished(id)
		s.failed(id, codes[i])
	}
}

func unzip(t testing.TB, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
