package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
)

// A shelf is a folder of a publisher's web server, with the page that lists it and a
// SHA256SUMS, both as they are at the moment. It counts what it sends of images.
type shelf struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	lies  bool  // in SHA256SUMS
	sent  int64 // bytes of images
	gets  int   // of images
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{files: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// put lays a disk on the shelf, in place of what is there under the name.
func (s *shelf) put(t testing.TB, name string, seed uint64) {
	t.Helper()
	raw, err := os.ReadFile(disk(t, seed, 2*mib))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = raw
}

func (s *shelf) lie(lies bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies = lies
}

func (s *shelf) moved() (bytes int64, gets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.gets
}

// ServeHTTP serves the page, the list of digests, and the images.
func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	var page strings.Builder
	switch name := strings.TrimPrefix(r.URL.Path, "/"); name {
	case "":
		page.WriteString(`<html><a href="../">Parent</a>`)
		for _, name := range names {
			fmt.Fprintf(&page, `<tr><td><a href="%s">%s</a></td></tr>`, name, name)
		}
		http.ServeContent(w, r, "index.html", time.Time{}, strings.NewReader(page.String()))
	case "SHA256SUMS":
		for _, name := range names {
			sum := sha256.Sum256(s.files[name])
			if s.lies {
				sum[0] ^= 1
			}
			fmt.Fprintf(&page, "%x *%s\n", sum, name)
		}
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(page.String()))
	default:
		raw, ok := s.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(raw)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
		count := &countedWriter{ResponseWriter: w}
		http.ServeContent(count, r, name, time.Time{}, bytes.NewReader(raw))
		s.sent += count.n
		if r.Method == http.MethodGet {
			s.gets++
		}
	}
}

type countedWriter struct {
	http.ResponseWriter
	n int64
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// schedule makes a schedule with the command line.
func (s *server) schedule(name, source string, args ...string) wire.Schedule {
	s.t.Helper()
	got := ingest(s.t, append([]string{"schedule", "create", name, source, "--server", s.url, "--json"}, args...)...)
	if got.code != 0 {
		s.t.Fatalf("schedule create: %+v", got)
	}
	return decodeAs[wire.Schedule](s.t, got.stdout)
}

// trigger runs a schedule now, to its end.
func (s *server) trigger(id string) wire.Task {
	s.t.Helper()
	sub, err := s.api.TriggerSchedule(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.finished(sub.TaskID)
}

func (s *server) scheduleOf(id string) wire.Schedule {
	s.t.Helper()
	got, err := s.api.Schedule(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// ran triggers a schedule, and checks what came of it and which image is shown. A run that
// the service begins by itself may come beside it.
func (s *server) ran(id, outcome string) wire.ScheduleRun {
	s.t.Helper()
	task := s.trigger(id)
	got := s.scheduleOf(id)
	at := slices.IndexFunc(got.Runs, func(r wire.ScheduleRun) bool { return r.TaskID == task.ID })
	if at < 0 || got.Runs[at].Outcome != outcome || (task.Status == "success") != (outcome != contract.RunFailed) {
		s.t.Fatalf("task %s, runs %+v, want %s", show(task), got.Runs, outcome)
	}
	s.shows(got)
	return got.Runs[at]
}

// shows checks that the schedule's name points at its current image, and nothing else.
func (s *server) shows(sched wire.Schedule) {
	s.t.Helper()
	all, err := s.api.Images(s.t.Context(), map[string][]string{"name": {sched.Spec.Import.Image.Name}}, 0)
	if err != nil || len(all) != 1 || all[0].ID != sched.CurrentImage || all[0].Status != "active" {
		s.t.Errorf("shown are %s (%v), current is %s", show(all), err, sched.CurrentImage)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	from := newShelf(t)
	from.put(t, "golden-1.9.img", 60)
	s := start(t, loopback)
	sched := s.schedule("golden", from.URL+"/golden-*.img", "--every", "24h", "--trust", "digest", "--keep", "1")
	if sched.Pending || sched.Spec.Import.Source.ChecksumFile != "auto" {
		t.Errorf("made %s", show(sched))
	}
	first := s.ran(sched.ID, contract.RunSwitched)
	img := s.object(200, "GET", "/v2/images/"+first.ImageID, nil)
	if img["name"] != "golden" || img["os_hidden"] != false {
		t.Errorf("image %s", show(img))
	}

	t.Run("unchanged", func(t *testing.T) {
		s := s.in(t)
		sent, gets := from.moved()
		s.ran(sched.ID, contract.RunUnchanged)
		if after, more := from.moved(); after != sent || more != gets {
			t.Errorf("%d bytes of images were sent in %d requests", after-sent, more-gets)
		}
	})
	t.Run("a newer file", func(t *testing.T) {
		s := s.in(t)
		from.put(t, "golden-1.10.img", 61)
		from.put(t, "silver-9.img", 62)
		second := s.ran(sched.ID, contract.RunSwitched)
		if got := s.scheduleOf(sched.ID); !strings.HasSuffix(got.Versions[0].Source.URL, "/golden-1.10.img") || len(got.Versions) != 2 || len(got.Next) == 0 {
			t.Errorf("%s", show(got))
		}
		if old := s.object(200, "GET", "/v2/images/"+first.ImageID, nil); old["os_hidden"] != true || old["status"] != "active" {
			t.Errorf("the old image is %s", show(old))
		}
		if second.ImageID == first.ImageID {
			t.Error("it is the old image")
		}
	})
	t.Run("a new version that is not what its list says", func(t *testing.T) {
		s := s.in(t)
		before := s.scheduleOf(sched.ID).CurrentImage
		from.lie(true)
		run := s.ran(sched.ID, contract.RunFailed)
		if run.Code != "IMG_CHECKSUM_MISMATCH" || s.scheduleOf(sched.ID).CurrentImage != before {
			t.Errorf("%+v", run)
		}
		from.lie(false)
		s.ran(sched.ID, contract.RunUnchanged)
	})
	t.Run("rollback", func(t *testing.T) {
		s := s.in(t)
		got := ingest(t, "schedule", "rollback", "golden", "--server", s.url, "--json")
		back := decodeAs[wire.RolledBack](t, got.stdout)
		if got.code != 0 || back.CurrentImage != first.ImageID {
			t.Fatalf("%+v", got)
		}
		s.shows(s.scheduleOf(sched.ID))
		s.ran(sched.ID, contract.RunHeld)
		from.put(t, "golden-2.0.img", 63)
		s.ran(sched.ID, contract.RunSwitched)
	})
	t.Run("one old version is kept", func(t *testing.T) {
		s := s.in(t)
		eventually(t, 20*time.Second, "two versions", func() (bool, string) {
			got := s.scheduleOf(sched.ID)
			return len(got.Versions) == 2, show(got.Versions)
		})
		eventually(t, 20*time.Second, "the objects of two images", func() (bool, string) {
			got := files(t, s.path("store", "objects"))
			return len(got) == 4, show(got) // each has a file beside it
		})
	})
	t.Run("show, pause, delete", func(t *testing.T) {
		shown := ingest(t, "schedule", "show", "golden", "--server", s.url)
		for _, want := range []string{"compared by", "trusted by", "digest", "every 24h0m0s", "held", "unchanged", "switched", "failed", "IMG_CHECKSUM_MISMATCH"} {
			if !strings.Contains(shown.stdout, want) {
				t.Errorf("%q is not in\n%s", want, shown.stdout)
			}
		}
		for _, what := range []string{"pause", "resume", "delete"} {
			if got := ingest(t, "schedule", what, "golden", "--server", s.url); got.code != 0 {
				t.Errorf("%s: %+v", what, got)
			}
		}
		listed := ingest(t, "schedule", "list", "--server", s.url, "--json")
		if got := decodeAs[wire.ScheduleList](t, listed.stdout); len(got.Schedules) != 0 {
			t.Errorf("left are %s", listed.stdout)
		}
	})
}

// The service itself runs a schedule: by its interval and for times that are over; what is
// lost with the workflow file is made again.
func TestScheduleOfTheService(t *testing.T) {
	t.Parallel()
	from := newShelf(t)
	from.put(t, "golden.img", 64)
	s := start(t, loopback)
	sched := s.schedule("golden", from.URL+"/golden.img", "--every", "60s", "--trust", "none", "--overlap", "buffer_all")
	now := time.Now().Truncate(time.Minute)
	got := ingest(t, "schedule", "backfill", "golden", "--from", now.Add(-3*time.Minute).Format(time.RFC3339), "--to", now.Add(-time.Second).Format(time.RFC3339), "--server", s.url, "--json")
	n := decodeAs[wire.Backfilled](t, got.stdout).Runs
	if got.code != 0 || n < 2 || n > 3 {
		t.Fatalf("%+v", got)
	}
	eventually(t, time.Minute, "the runs of the backfill", func() (bool, string) {
		runs := s.scheduleOf(sched.ID).Runs
		ended := 0
		for _, r := range runs {
			if r.Outcome == contract.RunSwitched || r.Outcome == contract.RunUnchanged {
				ended++
			}
		}
		return ended >= n, show(runs)
	})
	runs := len(s.scheduleOf(sched.ID).Runs)
	eventually(t, 150*time.Second, "a run by itself", func() (bool, string) {
		now := s.scheduleOf(sched.ID).Runs
		return len(now) > runs && now[0].Outcome == contract.RunUnchanged, show(now)
	})
	s.kill9()
	for _, f := range files(t, s.path("temporal")) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	s.restart()
	eventually(t, time.Minute, "the schedule in a new workflow file", func() (bool, string) {
		got := s.scheduleOf(sched.ID)
		return len(got.Next) > 0, got.Notice
	})
	s.ran(sched.ID, contract.RunUnchanged)
}

// Whenever the server is killed about the switch, one image is shown, and the run comes to
// its end.
func TestKill9DuringTheSwitch(t *testing.T) {
	t.Parallel()
	from := newShelf(t)
	from.put(t, "golden.img", 65)
	s := start(t, loopback)
	sched := s.schedule("golden", from.URL+"/golden.img", "--every", "24h", "--trust", "none", "--keep", "0")
	s.ran(sched.ID, contract.RunSwitched)
	for round, pause := range []time.Duration{0, 4 * time.Millisecond, 25 * time.Millisecond} {
		before := s.scheduleOf(sched.ID).CurrentImage
		from.put(t, "golden.img", uint64(66+round))
		sub, err := s.api.TriggerSchedule(t.Context(), sched.ID)
		if err != nil {
			t.Fatal(err)
		}
		imported := contract.RunImportID(sub.TaskID)
		eventually(t, time.Minute, "the new version", func() (bool, string) {
			status, _, body := s.call("GET", "/v1/tasks/"+imported, nil, nil)
			var task wire.Task
			return status == 200 && json.Unmarshal(body, &task) == nil && task.Status == "success", string(body)
		})
		time.Sleep(pause)
		s.kill9()
		s.restart()
		all, err := s.api.Images(t.Context(), map[string][]string{"name": {"golden"}}, 0)
		if err != nil || len(all) != 1 || all[0].Status != "active" {
			t.Errorf("shown are %s, %v", show(all), err)
		}
		if task := s.finished(sub.TaskID); task.Status != "success" {
			t.Fatalf("the run ended with %s", show(task))
		}
		now := s.scheduleOf(sched.ID)
		if s.shows(now); now.CurrentImage == before || now.Runs[0].Outcome != contract.RunSwitched {
			t.Errorf("not switched: %s", show(now))
		}
	}
	eventually(t, 20*time.Second, "the objects of one image", func() (bool, string) {
		got := files(t, s.path("store", "objects"))
		return len(got) == 2, show(got) // the bytes, and a file beside them
	})
}
