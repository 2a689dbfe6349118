package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/internal/verify/verifytest"
)

// A list that is signed by a key of the operator's keyring lets an image in, over the
// API and with the command line; a list that was changed behind its signature does
// not, and nothing is left of that import.
func TestVerification(t *testing.T) {
	t.Parallel()
	g := verifytest.New(t)
	key := g.Key("Publisher <p@example.org>", "ed25519", "never")
	dir, ring := t.TempDir(), filepath.Join(t.TempDir(), "pub.gpg")
	put := func(path string, p []byte) {
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(ring, g.Export(key))
	disk := imgtest.Create(t, "qcow2", 4*mib)
	b, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(dir, "disk.qcow2"), b)
	cmd := exec.Command("sha256sum", "disk.qcow2")
	cmd.Dir = dir
	sums, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(dir, "SHA256SUMS"), sums)
	put(filepath.Join(dir, "SHA256SUMS.gpg"), g.Detach(key, sums))
	put(filepath.Join(dir, "CHANGED"), append(sums, '\n'))
	mirror := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(mirror.Close)
	s := start(t, append([]string{"--keyring", "pub=" + ring}, loopback...))

	req := of(mirror.URL+"/disk.qcow2", contract.TargetSpec{Format: "raw"})
	req.Source.ChecksumFile, req.Source.Signature, req.Source.Keyring = "auto", "auto", "pub"
	task := s.finished(s.submit(req).TaskID)
	if task.Status != "success" {
		t.Fatalf("the task has not succeeded: %s", show(task))
	}
	told := false
	for _, e := range task.Events {
		told = told || e.Kind == "report" && e.Stage == "verification" && strings.Contains(string(e.Detail), key)
	}
	if !told {
		t.Errorf("no report of who signed in %s", show(task))
	}
	out, err := exec.Command(binary, "import", mirror.URL+"/disk.qcow2", "--server", s.url, "--checksum-file", "auto", "--keyring", "pub").CombinedOutput()
	if err != nil {
		t.Errorf("with the command line: %v\n%s", err, out)
	}

	req.Source.ChecksumFile, req.Source.Signature = mirror.URL+"/CHANGED", mirror.URL+"/SHA256SUMS.gpg"
	req.IdempotencyKey = ""
	s.failed(s.submit(req).TaskID, "IMG_SIGNATURE_INVALID")
	out, err = exec.Command(binary, "import", mirror.URL+"/disk.qcow2", "--server", s.url, "--checksum-file", mirror.URL+"/CHANGED", "--keyring", "pub").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "IMG_SIGNATURE_MISSING") {
		t.Errorf("with the command line: %v\n%s", err, out)
	}
}
