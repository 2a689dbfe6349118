package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/stores"
	"ingest/stores/fs"
)

// orphans puts objects into the store of a server that does not run, and uploads
// and staged files beside them, all of which are nobody's.
func (s *server) orphans(n int) {
	s.t.Helper()
	store, err := fs.Open(s.path("store"), "local")
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range n {
		up, err := store.Begin(s.t.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), -1)
		if err == nil {
			_, err = up.WriteAt([]byte(strings.Repeat("x", 4096)), 0)
		}
		if err == nil && i%2 == 0 {
			if err = up.Seal(s.t.Context(), 4096); err == nil {
				err = up.Commit(s.t.Context(), stores.Digest{Algo: "sha256", Size: 4096})
			}
		}
		if err != nil {
			s.t.Fatal(err)
		}
		up.Close()
		if i%4 == 0 {
			dir := s.path("staging", uuid.NewString())
			if err := os.MkdirAll(dir, 0o700); err != nil {
				s.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "source"), []byte("staged"), 0o600); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func decodeAs[T any](t testing.TB, text string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

// What is nobody's goes, by hand and by the schedule, also if the server is killed
// while it goes; the images stay.
func TestGCRemovesWhatIsNobodys(t *testing.T) {
	t.Parallel()
	raw := disk(t, 50, mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--reap-every", "0"})
	content := contentOf(t, raw)
	id := s.submit(of("file://"+raw, contract.TargetSpec{Format: "raw"})).TaskID
	s.succeeded(id, content)
	s.kill9()
	s.orphans(400)
	s.restart()
	time.Sleep(1100 * time.Millisecond)
	gc := func(args ...string) contract.ReapResult {
		t.Helper()
		got := ingest(t, append([]string{"gc", "--server", s.url, "--json"}, args...)...)
		if got.code != 0 {
			t.Fatalf("gc %v: %+v", args, got)
		}
		return decodeAs[contract.ReapResult](t, got.stdout)
	}
	if got := gc(); len(got.Items) != 0 {
		t.Errorf("what is young has gone: %+v", got)
	}
	want := map[string]int{contract.ReapedObject: 200, contract.ReapedUpload: 200, contract.ReapedStaged: 100}
	for range 2 {
		got := gc("--dry-run", "--older-than", "1s")
		for kind, n := range want {
			if got.Counts[kind] != n {
				t.Errorf("dry run: %d of %s, want %d", got.Counts[kind], kind, n)
			}
		}
	}
	go s.api.Reap(t.Context(), contract.ReapParams{AgeSeconds: 1}) //nolint:errcheck // it is killed
	eventually(t, time.Minute, "the first objects gone", func() (bool, string) {
		return len(files(t, s.path("store", "objects"))) < 400, "none"
	})
	s.kill9()
	s.restart()
	gc("--older-than", "1s")
	s.nothingLeft()
	s.succeeded(id, content)
	// Beside the hand there is the schedule, which the next start sets.
	s.kill9()
	s.orphans(4)
	s.args = append(s.args, "--reap-every", "2s")
	s.restart()
	shown := ingest(t, "gc", "--server", s.url, "--dry-run", "--older-than", "1s")
	if shown.code != 0 || !strings.Contains(shown.stdout, "to remove") {
		t.Errorf("gc --dry-run: %+v", shown)
	}
	eventually(t, time.Minute, "a run of the schedule", func() (bool, string) {
		return strings.Contains(s.log(), "reaped") || strings.Contains(s.log(), contract.ReapSchedule), ""
	})
}

func TestFsckFindsAndMends(t *testing.T) {
	t.Parallel()
	raw := disk(t, 51, mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw), "--reap-every", "0"})
	var ids, images []string
	for range 4 {
		ids = append(ids, s.submit(of("file://"+raw, contract.TargetSpec{Format: "raw"})).TaskID)
	}
	for _, id := range ids {
		images = append(images, s.finished(id).ImageID)
	}
	s.nothingLeft() // the check would see it
	fsck := func(code int, args ...string) struct {
		contract.CheckFigures
		Found []contract.Difference
	} {
		t.Helper()
		got := ingest(t, append([]string{"fsck", "--server", s.url, "--json", "--older-than", "1s"}, args...)...)
		if got.code != code {
			t.Fatalf("fsck %v ended with %d: %+v", args, got.code, got)
		}
		return decodeAs[struct {
			contract.CheckFigures
			Found []contract.Difference
		}](t, got.stdout)
	}
	if got := fsck(0, "--read"); got.Images != 4 || got.Bytes != 4*mib || got.Differences != 0 {
		t.Errorf("a good store: %+v", got)
	}
	s.kill9()
	s.orphans(100)
	key := func(image string) string {
		found, err := filepath.Glob(s.path("store", "objects", image, "*[0-9a-f]"))
		if err != nil || len(found) != 1 {
			t.Fatalf("objects of %s: %v, %v", image, found, err)
		}
		return found[0]
	}
	b, err := os.ReadFile(key(images[0]))
	if err != nil {
		t.Fatal(err)
	}
	b[mib/2] ^= 0x10
	name := key(images[0])
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.path("store", "objects", images[1])); err != nil {
		t.Fatal(err)
	}
	s.restart()
	time.Sleep(1100 * time.Millisecond)
	if got := fsck(1); got.Differences != 1+100+25 {
		t.Errorf("without reading: %+v", got.CheckFigures)
	}
	// Killed in the middle of a repair; the next one does the rest.
	go s.api.Check(t.Context(), contract.CheckParams{Read: true, Repair: true, AgeSeconds: 1}, func(contract.CheckLine) {}) //nolint:errcheck // it is killed
	eventually(t, time.Minute, "the first objects gone", func() (bool, string) {
		return len(files(t, s.path("store", "objects"))) < 100, "none"
	})
	s.kill9()
	s.restart()
	fsck(1, "--read", "--repair")
	left := fsck(1, "--read")
	if left.Differences != 2 {
		t.Errorf("left: %+v", left)
	}
	for i, want := range []string{"deactivated", "deactivated", "active", "active"} {
		img, err := s.api.Image(t.Context(), images[i])
		if err != nil || img.Status != want {
			t.Errorf("image %d is %s, %v, want %s", i, img.Status, err, want)
		}
	}
}
