package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/client"

	"ingest/internal/contract"
)

// The catalogue is the authority: without Temporal's files, what it accepted is
// started again.
func TestTemporalFilesDeleted(t *testing.T) {
	t.Parallel()
	raw := disk(t, 8, 64*mib)
	from := serveFile(t, raw, true, 8*mib).slowBehind(52 * mib)
	s := start(t, loopback)
	id := s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2", Compression: "zstd"})).TaskID
	s.await(id, contract.StageConvert, 36*mib)
	s.kill9()
	before := from.sent.Load()
	from.rate.Store(0)
	if err := os.RemoveAll(s.path("temporal")); err != nil {
		t.Fatal(err)
	}
	s.restart()
	s.goesOn(id)
	s.succeeded(id, contentOf(t, raw))
	if n := s.task(id).Restarts; n != 1 {
		t.Errorf("the task says %d restarts, want 1", n)
	}
	goesOnBehind(t, from, before)
}

// dial connects as any program of the Temporal SDK would.
func dial(t testing.TB, s *server) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.temporal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What the API can start, a plain client of Temporal can: with JSON that knows
// nothing of our types, under any workflow id.
func TestPlainTemporalClient(t *testing.T) {
	t.Parallel()
	raw := disk(t, 9, 32*mib)
	from := serveFile(t, raw, true, 8*mib).slowBehind(12 * mib)
	s := start(t, append([]string{"--file-roots", filepath.Dir(raw)}, loopback...))
	c := dial(t, s)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "by hand: 7", TaskQueue: "ingest"}, "ImportImage",
		map[string]any{
			"source": map[string]any{"url": from.URL},
			"target": map[string]any{"format": "qcow2", "compression": "zlib"},
			"image":  map[string]any{"name": "by hand", "tags": []string{"e2e"}, "properties": map[string]string{"os_distro": "debian"}},
		})
	if err != nil {
		t.Fatal(err)
	}
	var p contract.Progress
	eventually(t, time.Minute, "progress by query", func() (bool, string) {
		v, err := c.QueryWorkflow(t.Context(), "by hand: 7", "", "progress")
		if err != nil {
			return false, err.Error()
		}
		if err := v.Get(&p); err != nil {
			t.Fatal(err)
		}
		return p.Stage == contract.StageConvert && p.Bytes > 0 && p.Total == 32*mib && p.Status == "processing", show(p)
	})
	from.rate.Store(0)
	var result contract.ImportResult
	if err := run.Get(t.Context(), &result); err != nil {
		t.Fatal(err)
	}
	if result.TaskID != p.TaskID {
		t.Errorf("the result is of task %s, the progress of %s", result.TaskID, p.TaskID)
	}
	img := s.succeeded(result.TaskID, contentOf(t, raw))
	if img.Name != "by hand" || img.Properties["os_distro"] != "debian" || !cmp.Equal(img.Tags, []string{"e2e"}) {
		t.Errorf("the image has lost what was asked for: %s", show(img))
	}
	task := s.task(result.TaskID)
	if diff := cmp.Diff(&result, task.Result); diff != "" {
		t.Errorf("the workflow's result (-) and the task's (+) differ:\n%s", diff)
	}
	if task.WorkflowID != "by hand: 7" || task.Owner != img.Owner {
		t.Errorf("the task is %s", show(task))
	}

	// An image that is refused fails its workflow, and its task alike.
	run, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "bad", TaskQueue: "ingest"}, "ImportImage",
		map[string]any{"source": map[string]any{"url": filepath.Join(filepath.Dir(raw), "nothing")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err == nil {
		t.Error("the workflow of a source that does not exist has succeeded")
	}
	s.failed(contract.DerivedTaskID("bad"), "IMG_SOURCE_NOT_FOUND")
}

func TestSigtermDrains(t *testing.T) {
	t.Parallel()
	raw := disk(t, 10, 64*mib)
	from := serveFile(t, raw, true, 8*mib).slowBehind(52 * mib)
	s := start(t, append([]string{"--drain", "10s"}, loopback...))
	id := s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2"})).TaskID
	s.await(id, contract.StageConvert, 36*mib)
	took := s.term(20 * time.Second)
	t.Logf("stopped %.1f s after SIGTERM", took.Seconds())
	before, earlier := from.sent.Load(), time.Now()
	from.rate.Store(0)
	s.restart()
	s.goesOn(id)
	t.Logf("work goes on %.1f s after the stop", time.Since(earlier).Seconds())
	s.succeeded(id, contentOf(t, raw))
	goesOnBehind(t, from, before)
}
