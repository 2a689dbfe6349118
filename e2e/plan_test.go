package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// nothing checks that neither catalogue nor store nor staging holds anything.
func (s *server) nothing() {
	s.t.Helper()
	images, err := s.api.Images(s.t.Context(), nil, 0)
	tasks, terr := s.api.Tasks(s.t.Context(), nil, 0)
	if err != nil || terr != nil || len(images)+len(tasks) > 0 {
		s.t.Errorf("left behind: %d images, %d tasks (%v, %v)", len(images), len(tasks), err, terr)
	}
	for _, dir := range []string{s.path("staging"), s.path("store", "uploads"), s.path("store", "objects")} {
		if left := files(s.t, dir); len(left) > 0 {
			s.t.Errorf("left behind: %q", left)
		}
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	raw := disk(t, 31, 12*mib)
	good := into(t, root, "good.qcow2", imgtest.Convert(t, raw, "raw", "qcow2"), 0)
	bad := filepath.Join(root, "bad.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", hidden(t), bad, "8M")
	s := start(t, append([]string{"--file-roots", root}, loopback...))

	for _, source := range []string{good, serveFile(t, good, true, 0).URL} {
		var f contract.Forecast
		got := ingest(t, "import", source, "--to", "azure", "--dry-run", "--json", "--server", s.url)
		decode(t, got, &f)
		if got.code != 0 || f.Verdict != contract.VerdictAccepted || f.Detected.VirtualSize != 12*mib || f.Disks[0].Target.Format != "vhd" ||
			f.Disks[0].Stored.Bytes < 12*mib || f.Read.Requests == 0 || f.Disks[0].MinDisk != 1 || f.Store.Name != "local" {
			t.Errorf("dry run of %s: %d\n%s\n%s", source, got.code, got.stdout, got.stderr)
		}
	}
	got := ingest(t, "import", good, "--dry-run", "--server", s.url)
	for _, want := range []string{"would be accepted", "virtual size", "stored size", "staging", "dry run read"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the page does not say %q:\n%s", want, got.stdout)
		}
	}
	got = ingest(t, "import", bad, "--dry-run", "--server", s.url)
	if got.code != 1 || !strings.Contains(got.stderr, "IMG_QCOW2_BACKING_FILE") || !strings.Contains(got.stderr, "what to do") || strings.Contains(got.stdout+got.stderr, canary) {
		t.Errorf("dry run of a hostile image: %+v", got)
	}
	refused := s.object(200, "POST", "/v1/imports?dry_run=true", contract.ImportRequest{Source: contract.SourceSpec{URL: bad}})
	if e, _ := refused["error"].(map[string]any); refused["verdict"] != "refused" || e["code"] != string(errcode.QCOW2BackingFile) || e["remedy"] == "" {
		t.Errorf("the API answers %v", refused)
	}
	// What the API can ask for, a plain client of Temporal can.
	run, err := dial(t, s).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "plan by hand", TaskQueue: "ingest"}, "PlanImport",
		map[string]any{"source": map[string]any{"url": good}})
	var byHand map[string]any
	if err == nil {
		err = run.Get(t.Context(), &byHand)
	}
	if err != nil || byHand["verdict"] != "accepted" {
		t.Errorf("PlanImport by a plain client: %v, %v", byHand, err)
	}
	s.nothing()

	// What was imported before tells how long it takes.
	sub := s.submit(contract.ImportRequest{Source: contract.SourceSpec{URL: good}})
	img := s.succeeded(sub.TaskID, contentOf(t, raw))
	var f contract.Forecast
	decode(t, ingest(t, "import", good, "--dry-run", "--json", "--server", s.url), &f)
	if f.Time.Seconds < 0 || !strings.Contains(f.Time.Basis, "1 earlier import") || f.Disks[0].Stored.Bytes != *img.Size {
		t.Errorf("%+v, stored %+v, want %d bytes", f.Time, f.Disks[0].Stored, *img.Size)
	}
}

func TestDryRunOfAConversion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := imgtest.Convert(t, disk(t, 32, 12*mib), "raw", "qcow2")
	dst := filepath.Join(dir, "d.vhd")
	var f contract.Forecast
	got := ingest(t, "convert", src, dst, "--to", "hyperv", "--dry-run", "--json")
	decode(t, got, &f)
	if left := files(t, dir); len(left) > 0 || got.code != 0 || f.Verdict != contract.VerdictAccepted {
		t.Fatalf("%d, left %q\n%s", got.code, left, got.stderr)
	}
	var out struct {
		FileSize int64 `json:"file_size"`
	}
	decode(t, ingest(t, "convert", src, dst, "--to", "hyperv", "--json"), &out)
	if out.FileSize != f.Disks[0].Stored.Bytes || f.Store.Enough == nil || !*f.Store.Enough {
		t.Errorf("written %d bytes, told %+v, %+v", out.FileSize, f.Disks[0].Stored, f.Store)
	}
}
