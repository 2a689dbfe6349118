package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/contract"
)

// The same content twice is there once: killed before the second image is active,
// and read and deleted in the order in which it hurts.
func TestStoredOnce(t *testing.T) {
	t.Parallel()
	raw := disk(t, 53, mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--reap-every", "0", "--store-once", "project"})
	content := contentOf(t, raw)
	of := func() string {
		return s.submit(of("file://"+raw, contract.TargetSpec{Format: "qcow2"})).TaskID
	}
	stored := func(want int) {
		t.Helper()
		eventually(t, 20*time.Second, "what is stored", func() (bool, string) {
			got := files(t, s.path("store", "objects"))
			return len(got) == want*2, show(got) // the bytes, and what is known of them
		})
	}
	first := of()
	s.succeeded(first, content)
	stored(1)
	s.kill9()
	s.restart("INGEST_TEST_STALL=store=60s")
	second := of()
	stored(2) // committed, and not active yet
	s.kill9()
	s.restart()
	s.succeeded(second, content)
	stored(1)
	if err := s.api.DeleteImage(t.Context(), s.finished(first).ImageID); err != nil {
		t.Fatal(err)
	}
	stored(1)
	if got := ingest(t, "fsck", "--server", s.url, "--read"); got.code != 0 {
		t.Errorf("fsck: %+v", got)
	}
	img := s.succeeded(second, content)
	if err := s.api.DeleteImage(t.Context(), img.ID); err != nil {
		t.Fatal(err)
	}
	stored(0)
	s.nothingLeft()
}
