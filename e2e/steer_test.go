package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/webhook"
	"ingest/metadata"
)

// standsStill checks that a paused task does nothing, and says so.
func (s *server) standsStill(id string, from *origin) {
	s.t.Helper()
	eventually(s.t, time.Minute, "the task to stand still", func() (bool, string) {
		before := from.sent.Load()
		time.Sleep(1500 * time.Millisecond)
		p := s.progress(id)
		return p.Paused && from.sent.Load() == before, show(p)
	})
	if task := s.task(id); !task.Paused || task.Status != "processing" {
		s.t.Errorf("task is %s, paused %v", task.Status, task.Paused)
	}
}

// A task that is paused stays so when the server is killed and even loses its workflows,
// and goes on where it was when it is resumed.
func TestPauseKill9Resume(t *testing.T) {
	for _, c := range []struct {
		name   string
		stage  contract.Stage
		ranges bool
		size   int64
		at     int64
		slow   int64
	}{
		{"fetch of a stream with a digest", contract.StageFetch, true, 64 * mib, 36 * mib, 48 * mib},
		{"convert", contract.StageConvert, true, 160 * mib, 88 * mib, 128 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw := disk(t, 71, c.size)
			from := serveFile(t, raw, c.ranges, 16*mib).slowBehind(c.slow)
			s := start(t, loopback)
			req := of(from.URL, contract.TargetSpec{Format: "raw"})
			if c.stage == contract.StageFetch {
				req.Source.Checksum = sha256Of(t, raw)
			}
			id := s.submit(req).TaskID
			s.await(id, c.stage, c.at)
			if _, err := s.api.Pause(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			s.standsStill(id, from)
			s.kill9()
			s.restart()
			s.standsStill(id, from)
			before := from.sent.Load()
			from.rate.Store(0)
			if _, err := s.api.Resume(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			s.succeeded(id, contentOf(t, raw))
			goesOnBehind(t, from, before)
			if over := from.sent.Load() - from.size; over > 64*mib {
				t.Errorf("%d bytes were sent twice", over)
			}
		})
	}
}

// A queue notes in which order those who ask for one file come, by their queries.
type queue struct {
	*origin
	mu    sync.Mutex
	open  bool // notes who comes
	order []string
}

// ServeHTTP notes who asks.
func (q *queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	if q.open && !slices.Contains(q.order, r.URL.RawQuery) {
		q.order = append(q.order, r.URL.RawQuery)
	}
	q.mu.Unlock()
	q.origin.ServeHTTP(w, r)
}

// An import of high priority overtakes those that wait, also if it is raised later.
func TestPriorityOvertakes(t *testing.T) {
	t.Parallel()
	s := start(t, append([]string{"--imports", "1"}, loopback...))
	raw := disk(t, 72, 8*mib)
	submit := func(url string, priority *int) string {
		req := of(url, contract.TargetSpec{Format: "raw"})
		req.Priority = priority
		return s.submit(req).TaskID
	}
	slow := serveFile(t, disk(t, 73, 96*mib), true, mib)
	first := submit(slow.URL, nil)
	s.await(first, contract.StageConvert, mib)
	quick := &queue{origin: serveFile(t, raw, true, 0)}
	front := httptest.NewServer(quick)
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	nine, zero := 9, 0
	tasks := map[string]string{}
	for _, one := range []struct {
		name     string
		priority *int
	}{{"low", &zero}, {"a", nil}, {"raised", nil}, {"b", nil}, {"high", &nine}} {
		tasks[one.name] = submit(front.URL+"/disk.raw?"+one.name, one.priority)
		eventually(t, time.Minute, one.name+" to wait for its turn", func() (bool, string) {
			p := s.progress(tasks[one.name])
			return p.Message == "waits for another import to end", show(p)
		})
	}
	if got, err := s.api.SetPriority(t.Context(), tasks["raised"], 8); err != nil || got.Priority != 8 {
		t.Fatal(got, err)
	}
	quick.mu.Lock()
	quick.open = true
	quick.mu.Unlock()
	slow.rate.Store(0)
	for name, id := range tasks {
		if task := s.finished(id); task.Status != "success" {
			t.Errorf("%s ended with %s", name, show(task))
		}
	}
	// All wait for their first turn. Whose turn it is reads; how soon each ends behind that
	// is up to the machine.
	quick.mu.Lock()
	defer quick.mu.Unlock()
	at := func(name string) int { return slices.Index(quick.order, name) }
	for _, c := range [][2]string{{"high", "raised"}, {"raised", "a"}, {"raised", "b"}, {"a", "low"}, {"b", "low"}} {
		if at(c[0]) < 0 || at(c[0]) > at(c[1]) {
			t.Errorf("%s had its turn behind %s: %q", c[0], c[1], quick.order)
		}
	}
}

// A webhook is told of the end of a task, also if the server is killed before it could.
func TestWebhookIsTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	status, secret := 500, ""
	var got []metadata.Notice
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err := webhook.Verify(secret, r.Header.Get(webhook.SignatureHeader), body, time.Now(), webhook.Tolerance); err != nil {
			t.Error(err)
		}
		var n metadata.Notice
		if err := json.Unmarshal(body, &n); err != nil {
			t.Error(err)
		}
		got = append(got, n)
		w.WriteHeader(status)
	}))
	defer hook.Close()
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
	s := start(t, loopback)
	w, err := s.api.AddWebhook(t.Context(), wire.NewWebhook{URL: hook.URL})
	if err != nil {
		t.Fatal(err)
	}
	secret = w.Secret
	raw := disk(t, 74, mib)
	id := s.submit(of(serveFile(t, raw, true, 0).URL, contract.TargetSpec{})).TaskID
	s.succeeded(id, contentOf(t, raw))
	eventually(t, time.Minute, "a first attempt", func() (bool, string) { return count() > 0, "" })
	s.kill9()
	mu.Lock()
	status = 204
	mu.Unlock()
	s.restart()
	eventually(t, 90*time.Second, "an attempt of the next process", func() (bool, string) { return count() > 1, "" })
	mu.Lock()
	if got[0].ID != got[1].ID || got[0].Task == nil || got[0].Task.ID != id || got[0].Event != metadata.TaskSucceeded {
		t.Errorf("notices %+v", got)
	}
	mu.Unlock()
	eventually(t, 90*time.Second, "the delivery to be recorded", func() (bool, string) {
		shown, err := s.api.Webhook(t.Context(), w.ID)
		return err == nil && shown.Secret == "" && len(shown.Deliveries) == 1 && shown.Deliveries[0].Status == "delivered" && shown.Deliveries[0].HTTPStatus == 204, show(shown)
	})
}

// The stream of a task tells its stages, and ends with it; a stop of the server ends it
// too.
func TestStream(t *testing.T) {
	t.Parallel()
	s := start(t, loopback)
	raw := disk(t, 75, 16*mib)
	from := serveFile(t, raw, true, 2*mib) // long enough for figures, also when some come late
	id := s.submit(of(from.URL, contract.TargetSpec{})).TaskID
	resp, err := http.Get(s.url + "/v1/tasks/" + id + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := map[string]int{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, is := strings.CutPrefix(lines.Text(), "event: "); is {
			events[name]++
		}
	}
	if events["stage"] < 8 || events["progress"] < 2 || events["end"] != 1 {
		t.Errorf("events %v", events)
	}
	from.rate.Store(mib / 4)
	id = s.submit(of(from.URL, contract.TargetSpec{})).TaskID
	if resp, err = http.Get(s.url + "/v1/tasks/" + id + "/stream"); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, resp.Body); ended <- err }()
	s.term(time.Minute)
	if err := <-ended; err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
}
