package e2e

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A deleted image disappears, can be restored with its bytes, and goes when its
// time is over, also if the server is killed while it goes.
func TestDelayedDeleteAndScrub(t *testing.T) {
	t.Parallel()
	raw := disk(t, 52, mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--reap-every", "0", "--delayed-delete", "--scrub-time", "1h"})
	content := contentOf(t, raw)
	id := s.submit(of("file://"+raw, contract.TargetSpec{Format: "raw"})).TaskID
	img := s.succeeded(id, content)
	remove := func(image string) {
		t.Helper()
		if err := s.api.DeleteImage(t.Context(), image); err != nil {
			t.Fatal(err)
		}
	}
	remove(img.ID)
	if _, err := s.api.Image(t.Context(), img.ID); errcode.Of(err) != errcode.NotFound {
		t.Errorf("a deleted image: %v", err)
	}
	for status, want := range map[string]int{"": 0, "pending_delete": 1} {
		q := url.Values{}
		if status != "" {
			q.Set("status", status)
		}
		if list, err := s.api.Images(t.Context(), q, 0); err != nil || len(list) != want {
			t.Errorf("%d images of status %q, %v, want %d", len(list), status, err, want)
		}
	}
	if got := ingest(t, "scrub", "--server", s.url); got.code != 0 || got.stdout != "nothing removed\n" {
		t.Errorf("scrub before the time is over: %+v", got)
	}
	if got := ingest(t, "scrub", "--server", s.url, "--restore", img.ID); got.code != 0 {
		t.Errorf("restore: %+v", got)
	}
	s.succeeded(id, content) // with its bytes
	if got := ingest(t, "scrub", "--server", s.url, "--restore", img.ID, "--json"); got.code != 1 {
		t.Errorf("restore an active image: %+v", got)
	}
	remove(img.ID)
	var more []string
	for range 8 {
		more = append(more, s.submit(of("file://"+raw, contract.TargetSpec{Format: "raw"})).TaskID)
	}
	for _, task := range more {
		remove(s.finished(task).ImageID)
	}
	s.kill9()
	s.args = append(s.args, "--scrub-time", "0s")
	s.restart()
	if got := ingest(t, "scrub", "--server", s.url, "--dry-run", "--json"); decodeAs[contract.ReapResult](t, got.stdout).Counts[contract.ReapedImage] != 9 {
		t.Errorf("scrub --dry-run: %+v", got)
	}
	go s.api.Reap(t.Context(), contract.ReapParams{Kind: contract.ReapedImage}) //nolint:errcheck // it is killed
	eventually(t, time.Minute, "the first image gone", func() (bool, string) {
		return len(files(t, s.path("store", "objects"))) < 18, "none"
	})
	s.kill9()
	s.restart()
	if got := ingest(t, "scrub", "--server", s.url); got.code != 0 {
		t.Errorf("scrub: %+v", got)
	}
	time.Sleep(1100 * time.Millisecond)
	if got := ingest(t, "gc", "--server", s.url, "--older-than", "1s"); got.code != 0 {
		t.Errorf("gc: %+v", got)
	}
	s.nothingLeft()
}
