package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/metadata"
)

// A soak is a bulk of small disks in all formats, some of which are broken.
type soak struct {
	dir   string            // of the disks
	want  map[string]string // content digest of each disk by its file's name, "" of a broken one
	items []map[string]any
}

// soakItems is how many items the test has: INGEST_SOAK, or as many as fit a test.
func soakItems(t testing.TB) int {
	if text := os.Getenv("INGEST_SOAK"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 50 {
			t.Fatalf("INGEST_SOAK=%q: expected a number from 50", text)
		}
		return n
	}
	return 200
}

// newSoak makes n disks: of each raw disk one in every format, in turn; about three in a
// hundred are cut short or are no disks.
func newSoak(t testing.TB, n int) *soak {
	t.Helper()
	s := &soak{dir: t.TempDir(), want: map[string]string{}}
	formats := []string{"raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx"}
	for i := range n {
		format := formats[i%len(formats)]
		name := fmt.Sprintf("disk-%04d.%s", i, format)
		path := filepath.Join(s.dir, name)
		raw := disk(t, uint64(1000+i), mib)
		if format == "raw" {
			if err := os.Rename(raw, path); err != nil {
				t.Fatal(err)
			}
			raw = path
		} else if out, err := exec.Command("qemu-img", "convert", "-O", format, raw, path).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img: %v: %s", err, out)
		}
		s.want[name] = contentOf(t, raw)
		if format == "vpc" { // its geometry rounds the size up
			s.want[name] = contentOf(t, path)
		}
		if i%33 == 7 {
			s.breakDisk(t, path, i)
		}
		if format != "raw" {
			os.Remove(raw)
		}
	}
	return s
}

// breakDisk makes a disk one that must be refused.
func (s *soak) breakDisk(t testing.TB, path string, i int) {
	t.Helper()
	s.want[filepath.Base(path)] = ""
	text := append([]byte("QFI\xfb"), make([]byte, 1020)...) // a qcow2 of version 0
	if i%2 == 0 {
		text = nil
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A dyingOrigin serves a folder until it is told to die: then connections end without an
// answer.
type dyingOrigin struct {
	*httptest.Server
	dead   atomic.Bool
	served atomic.Int64
}

func serveFolder(t testing.TB, dir string) *dyingOrigin {
	t.Helper()
	o := &dyingOrigin{}
	files := http.FileServer(http.Dir(dir))
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.dead.Load() {
			panic(http.ErrAbortHandler)
		}
		o.served.Add(1)
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// manifest writes the manifest of a soak: two disks in three from the first source, the
// rest from the one that dies; and some twins.
func (s *soak) manifest(t testing.TB, steady, dying string) string {
	t.Helper()
	names := make([]string, 0, len(s.want))
	for name := range s.want {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		from := steady
		if i%3 == 2 {
			from = dying
		}
		s.add(name, name, from)
	}
	for i := range len(names) / 40 { // the same sources once more, under other names
		s.add("twin-"+names[i*6+1], names[i*6+1], "")
	}
	raw, err := json.Marshal(map[string]any{
		"name": "soak", "defaults": map[string]any{"target": map[string]any{"format": "qcow2"}, "image": map[string]any{"name": "{key}", "properties": map[string]string{"lab": "{n}"}}},
		"limits": map[string]int{"concurrency": 16, "per_host": 10}, "breaker": map[string]any{"failures": 3, "pause_seconds": 2, "max_pause_seconds": 4, "give_up_seconds": 0},
		"items": s.items,
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "soak.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *soak) add(key, name, from string) {
	if from == "" {
		for _, it := range s.items {
			if it["key"] == name {
				s.items = append(s.items, map[string]any{"key": key, "source": it["source"]})
				return
			}
		}
	}
	s.items = append(s.items, map[string]any{"key": key, "source": map[string]string{"url": from + "/" + name}})
}

// TestBulkSoak imports many small disks of mixed formats as one bulk, while the server is
// killed at random and a source is away for a time in its middle. In the end every good one
// is active with the right digest, once, every broken one has failed with its code, and
// nothing is left over. The same manifest once more does nothing.
func TestBulkSoak(t *testing.T) {
	t.Parallel()
	n := soakItems(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	began := time.Now()
	all := newSoak(t, n)
	steady, dying := serveFolder(t, all.dir), serveFolder(t, all.dir)
	manifest := all.manifest(t, steady.URL, dying.URL)
	t.Logf("%d disks made in %.1f s", n, time.Since(began).Seconds())

	s := start(t, append([]string{"--store-once=project"}, loopback...))
	b := s.submitBulk(manifest)
	began = time.Now()
	done := func(b wire.Bulk) int { return b.Items["active"] + b.Items["failed"] }
	kills := 3
	for k := range kills {
		s.untilBulk(b.ID, 15*time.Minute, "the bulk to go on", func(got wire.Bulk) bool {
			return done(got) >= len(all.items)*(k+1)/(kills+2) || metadata.BulkStatus(got.Status).Finished()
		})
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		t.Logf("kill %d after %.1f s: %v", k+1, time.Since(began).Seconds(), s.bulk(b.ID).Items)
		if k == 0 {
			dying.dead.Store(true)
		}
		s.kill9()
		s.restart()
		if k == 1 {
			dying.dead.Store(false)
		}
	}
	ended := func(b wire.Bulk) bool { return metadata.BulkStatus(b.Status).Finished() }
	got := s.untilBulk(b.ID, 15*time.Minute, "the bulk to end", ended)
	t.Logf("%d items in %.1f s with %d kills: %v", len(all.items), time.Since(began).Seconds(), kills, got.Items)
	all.check(s, got)
	s.leavesNothing()

	again := s.submitBulk(manifest)
	got = s.untilBulk(again.ID, 5*time.Minute, "the second bulk to end", ended)
	if good := got.Items["skipped"]; again.ID == b.ID || got.Items["active"] != 0 || good+got.Items["failed"] != len(all.items) {
		t.Errorf("the same manifest once more: %v", got.Items)
	}
}

func (s *server) submitBulk(path string) wire.Bulk {
	s.t.Helper()
	out := ingest(s.t, "--server", s.url, "bulk", "submit", path, "--json")
	var b wire.Bulk
	if err := json.Unmarshal([]byte(out.stdout), &b); err != nil || out.code != 0 {
		s.t.Fatalf("submit: %d %s %s", out.code, out.stdout, out.stderr)
	}
	return b
}

func (s *server) bulk(id string) wire.Bulk {
	s.t.Helper()
	b, err := s.api.Bulk(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// untilBulk asks for a bulk until it is as it should be. A question that a machine at its
// limits leaves unanswered is asked again.
func (s *server) untilBulk(id string, most time.Duration, what string, ok func(wire.Bulk) bool) wire.Bulk {
	s.t.Helper()
	var got wire.Bulk
	eventually(s.t, most, what, func() (bool, string) {
		var err error
		if got, err = s.api.Bulk(s.t.Context(), id); err != nil {
			s.t.Logf("%s %s: %v", time.Now().Format(time.TimeOnly), what, err)
			return false, err.Error()
		}
		return ok(got), show(got)
	})
	return got
}

// check compares what came of each item with what should have.
func (k *soak) check(s *server, b wire.Bulk) {
	s.t.Helper()
	items, err := s.api.BulkItems(s.t.Context(), b.ID, url.Values{}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(items) != len(k.items) {
		s.t.Errorf("%d items, want %d", len(items), len(k.items))
	}
	images, err := s.api.Images(s.t.Context(), url.Values{"status": {"active"}}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	named := map[string][]wire.Image{}
	for _, img := range images {
		named[img.Name] = append(named[img.Name], img)
	}
	bad := 0
	for _, it := range items {
		want := k.want[strings.TrimPrefix(it.Key, "twin-")]
		if want == "" {
			bad++
			if it.State != string(metadata.ItemFailed) || !strings.HasPrefix(it.Code, "IMG_") {
				s.t.Errorf("broken disk %s: %s %s", it.Key, it.State, it.Code)
			}
			continue
		}
		one := named[it.Key]
		if it.State != string(metadata.ItemActive) || len(one) != 1 || one[0].ID != it.ImageID {
			s.t.Errorf("%s: %s %s %q, %d images", it.Key, it.State, it.Code, it.Message, len(one))
			continue
		}
		if digest := s.contentDigest(it.TaskID); digest != want {
			s.t.Errorf("%s: content digest %s, want %s", it.Key, digest, want)
		}
		delete(named, it.Key)
	}
	for name := range named {
		s.t.Errorf("there is an image %q of no item", name)
	}
	if bad == 0 || b.Status != string(metadata.BulkPartial) {
		s.t.Errorf("%d broken disks, bulk is %s", bad, b.Status)
	}
}

// contentDigest is that of the image that a task has made.
func (s *server) contentDigest(task string) string {
	s.t.Helper()
	t, err := s.api.Task(s.t.Context(), task)
	if err != nil {
		s.t.Fatal(err)
	}
	if t.Result == nil || len(t.Result.Images) != 1 {
		return "no result"
	}
	return t.Result.Images[0].ContentDigest
}

// leavesNothing fails the test if a collection finds anything, or an upload or a staged file
// is there.
func (s *server) leavesNothing() {
	s.t.Helper()
	eventually(s.t, time.Minute, "no upload and no staged file", func() (bool, string) { // they go a moment behind the end of their task
		left := append(files(s.t, s.path("store", "uploads")), files(s.t, s.path("staging"))...)
		return len(left) == 0, show(left)
	})
	figures, err := s.api.Check(s.t.Context(), contract.CheckParams{AgeSeconds: 60}, func(l contract.CheckLine) {
		if l.Difference != nil {
			s.t.Errorf("fsck: %+v", *l.Difference)
		}
	})
	if err != nil {
		s.t.Error(err)
	}
	s.t.Logf("fsck looked at %d images", figures.Images)
}

// A bulk that is aborted cancels what runs, and leaves nothing; tried again, it does it all.
func TestBulkIsAborted(t *testing.T) {
	t.Parallel()
	raw := disk(t, 77, 8*mib)
	from := serveFile(t, raw, true, mib/2)
	s := start(t, loopback)
	manifest := filepath.Join(t.TempDir(), "two.csv")
	if err := os.WriteFile(manifest, []byte(fmt.Sprintf("key,url\na,%s\nb,%s?again\n", from.URL, from.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := s.submitBulk(manifest)
	until := func(what string, ok func(wire.Bulk) bool) wire.Bulk {
		var got wire.Bulk
		eventually(t, time.Minute, what, func() (bool, string) { got = s.bulk(b.ID); return ok(got), show(got) })
		return got
	}
	until("items to run", func(b wire.Bulk) bool { return b.Items["running"] == 2 })
	time.Sleep(2 * time.Second)
	if out := ingest(t, "--server", s.url, "bulk", "cancel", b.ID, "--abort"); out.code != 0 {
		t.Fatalf("abort: %s", out.stderr)
	}
	got := until("the bulk to end", func(b wire.Bulk) bool { return b.EndedAt != nil })
	if got.Status != string(metadata.BulkCancelled) || got.Items["cancelled"] != 2 {
		t.Errorf("aborted: %s", show(got))
	}
	s.nothingLeft()
	from.rate.Store(0)
	if out := ingest(t, "--server", s.url, "bulk", "retry", b.ID); out.code != 0 {
		t.Fatalf("retry: %s", out.stderr)
	}
	if got := until("the bulk to end again", func(b wire.Bulk) bool { return b.EndedAt != nil }); got.Status != string(metadata.BulkSuccess) {
		t.Errorf("tried again: %s", show(got))
	}
}

// The bandwidth of a bulk is kept while its images are read, shown, and changed without
// breaking anything off; and so is that of a single import.
func TestBulkKeepsItsBandwidth(t *testing.T) {
	t.Parallel()
	from := serveFile(t, disk(t, 91, 128*mib), true, 0)
	s := start(t, loopback)
	manifest := filepath.Join(t.TempDir(), "two.csv")
	if err := os.WriteFile(manifest, []byte(fmt.Sprintf("key,url\na,%s\nb,%s?again\n", from.URL, from.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ingest(t, "--server", s.url, "bulk", "submit", manifest, "--bandwidth", "8MiB", "--json")
	var b wire.Bulk
	if err := json.Unmarshal([]byte(out.stdout), &b); err != nil || out.code != 0 {
		t.Fatalf("submit: %d %s %s", out.code, out.stdout, out.stderr)
	}
	until := func(what string, ok func(wire.Bulk) bool) {
		eventually(t, time.Minute, what, func() (bool, string) { got := s.bulk(b.ID); return ok(got), show(got) })
	}
	until("items to run", func(b wire.Bulk) bool { return b.Items["running"] == 2 })
	keeps := func(rate int64) {
		t.Helper()
		time.Sleep(4 * time.Second) // what was asked for before is in the buffers of connections
		var all []float64
		// A connection's buffers fill and empty by steps that are large for so short a time,
		// and a busy machine stands still for some of it: one time of three is enough, which
		// another limit does not meet.
		for range 3 {
			begun, before := time.Now(), from.sent.Load()
			time.Sleep(5 * time.Second)
			used := float64(from.sent.Load()-before) / time.Since(begun).Seconds() / float64(rate)
			t.Logf("%.2f of %d bytes a second", used, rate)
			if used >= 0.6 && used <= 1.3 {
				return
			}
			all = append(all, used)
		}
		t.Errorf("%.2f of %d bytes a second are used", all, rate)
	}
	keeps(8 * mib)
	if out := ingest(t, "--server", s.url, "bulk", "set", b.ID, "--bandwidth", "4MiB/s", "--bandwidth-per-store", "1GiB"); out.code != 0 {
		t.Fatalf("set: %s", out.stderr)
	}
	if out := ingest(t, "--server", s.url, "bulk", "show", b.ID); !strings.Contains(out.stdout, "4MiB/s, 1GiB/s a store") {
		t.Errorf("show says\n%s", out.stdout)
	}
	keeps(4 * mib)
	if out := ingest(t, "--server", s.url, "bulk", "set", b.ID, "--bandwidth", "0"); out.code != 0 {
		t.Fatalf("set: %s", out.stderr)
	}
	freed := time.Now()
	until("the bulk to end", func(b wire.Bulk) bool { return b.Status == string(metadata.BulkSuccess) })
	t.Logf("ended %v after its limit", time.Since(freed))

	small := serveFile(t, disk(t, 92, 16*mib), true, 0)
	begun := time.Now()
	if out := ingest(t, "--server", s.url, "import", small.URL, "--bandwidth", "4MiB"); out.code != 0 {
		t.Fatalf("import: %s", out.stderr)
	}
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("15 MiB at 4 a second took %v", took)
	}
}
