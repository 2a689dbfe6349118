package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Fifty imports at once against a quota for ten end with exactly ten images and
// forty clear errors, and nothing is left of the others: neither bytes nor what
// was promised to them. The bytes of the first half come through staging, those
// of the second are read in place; the server is killed in the middle.
func TestFiftyImportsAgainstAQuotaForTen(t *testing.T) {
	t.Parallel()
	const each = 6 * mib
	raw := disk(t, 40, each)
	from := serveFile(t, raw, true, 0)
	s := start(t, append([]string{"--file-roots", filepath.Dir(raw), "--imports", "6",
		"--quota-image-bytes", fmt.Sprint(10*each + each - 1), "--quota-stage-bytes", fmt.Sprint(1000 * mib)}, loopback...))
	ids := make([]string, 50)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			req := of("file://"+raw, contract.TargetSpec{Format: "raw"})
			if i%2 == 0 {
				req = of(from.URL, contract.TargetSpec{Format: "raw"})
				req.Source.Checksum = sha256Of(t, raw)
			}
			out, err := s.api.Import(t.Context(), req)
			if errcode.Of(err) == errcode.QuotaExceeded {
				return // the first ten were done before this one came
			}
			if err != nil {
				t.Errorf("import %d: %v", i, err)
			}
			ids[i] = out.TaskID
		})
	}
	wg.Wait()
	s.kill9()
	s.restart()
	good, refused := 0, 0
	for i, id := range ids {
		if id == "" {
			refused++
			continue
		}
		switch task := s.finished(id); {
		case task.Status == "success":
			good++
		case task.Error != nil && task.Error.Code == errcode.QuotaExceeded && task.Error.Evidence != nil && task.Error.Remedy != "":
			refused++
		default:
			t.Errorf("import %d ended with %s", i, show(task))
		}
	}
	if good != 10 || refused != 40 {
		t.Errorf("%d have succeeded and %d were refused, want 10 and 40", good, refused)
	}
	s.nothingLeft()
	q, err := s.api.Quotas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if q.Reserved != 0 || q.Quotas[1].Usage != 10*each || q.Quotas[2].Usage != 0 || q.Quotas[3].Usage != 0 {
		t.Errorf("in the end the quotas say %s", show(q))
	}
	if shown := ingest(t, "quota", "show", "--server", s.url); shown.code != 0 || shown.stderr != "" {
		t.Errorf("quota show: %+v", shown)
	}
}

// A quota file counts per project and is read again while the server runs.
func TestQuotaFile(t *testing.T) {
	t.Parallel()
	raw := disk(t, 41, mib)
	file := filepath.Join(t.TempDir(), "quotas.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("projects:\n  default:\n    image_count_total: 1\n")
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--quotas", file})
	req := of("file://"+raw, contract.TargetSpec{Format: "raw"})
	s.succeeded(s.submit(req).TaskID, contentOf(t, raw))
	if _, err := s.api.Import(t.Context(), req); errcode.Of(err) != errcode.QuotaExceeded {
		t.Errorf("a second image: %v", err)
	}
	if got := ingest(t, "import", raw, "--server", s.url, "--project", "other"); got.code != 0 {
		t.Errorf("another project: %+v", got)
	}
	write("projects: {default: {image_count_total: 2}}\n")
	eventually(t, time.Minute, "the new quota", func() (bool, string) {
		_, err := s.api.Import(t.Context(), req)
		return err == nil, fmt.Sprint(err)
	})
}
