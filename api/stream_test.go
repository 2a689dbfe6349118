package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// An sse is one event as a listener gets it.
type sse struct{ id, event, data string }

// listen opens a stream on a real connection and returns what comes, until it ends.
func listen(t *testing.T, url string, header ...string) (<-chan sse, *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan sse, 1000)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		var one sse
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				one.id = value
			case "event":
				one.event = value
			case "data":
				one.data = value
			case "":
				if one.event != "" {
					out <- one
				}
				one = sse{}
			}
		}
	}()
	return out, resp
}

// await returns the events up to the first of a kind.
func await(t *testing.T, from <-chan sse, event string) (all []sse) {
	t.Helper()
	for {
		select {
		case one, more := <-from:
			if !more {
				t.Fatalf("the stream ended before %s: %v", event, all)
			}
			if all = append(all, one); one.event == event {
				return all
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s: %v", event, all)
		}
	}
}

func TestStreamTellsATaskToItsEnd(t *testing.T) {
	b := newBench(t)
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	s := b.submit(someImport)
	b.imports.progress = func(m metadata.Task) (contract.Progress, error) {
		return contract.Progress{Stage: contract.StageConvert, Bytes: 7, Total: 10}, nil
	}
	got, resp := listen(t, srv.URL+"/v1/tasks/"+s.TaskID+"/progress", "Accept", "text/html, Text/Event-Stream;q=0.9")
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", resp.Header)
	}
	first := await(t, got, "progress")
	var p contract.Progress
	if err := json.Unmarshal([]byte(first[len(first)-1].data), &p); err != nil || p.Bytes != 7 || p.TaskID != s.TaskID {
		t.Errorf("progress %+v, %v", p, err)
	}
	seen := first[0].id // of the event that says that the task is pending
	b.finish(s, []byte("bytes"))
	rest := await(t, got, "end")
	if _, more := <-got; more {
		t.Error("something comes behind the end")
	}
	if last := rest[len(rest)-1]; last.id != lastID || !strings.Contains(last.data, `"status":"success"`) {
		t.Errorf("end %+v", last)
	}
	// Who comes again is told what it missed, and no more.
	again, _ := listen(t, srv.URL+"/v1/tasks/"+s.TaskID+"/stream", "Last-Event-ID", seen)
	missed := await(t, again, "end")
	for _, one := range missed {
		if one.id == seen {
			t.Errorf("%+v is told twice", one)
		}
	}
	if len(missed) < 3 || missed[0].event != "stage" {
		t.Errorf("missed %+v", missed)
	}
	b.do("GET", "/v1/tasks/"+s.TaskID+"/stream", "", "Last-Event-ID", lastID).want(t, 204, "")
	b.do("GET", "/v1/tasks/"+s.TaskID+"/stream", "", "Last-Event-ID", "-1").want(t, 400, errcode.BadRequest)
	b.do("GET", "/v1/tasks/nobody/stream", "").want(t, 404, errcode.NotFound)
}

func TestStreamsEndWithTheServer(t *testing.T) {
	closing := make(chan struct{})
	b := newBench(t, func(d *Deps) { d.Closing = closing })
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	got, _ := listen(t, srv.URL+"/v1/tasks/"+b.submit(someImport).TaskID+"/stream")
	await(t, got, "progress")
	close(closing)
	for range got { // until it ends
	}
}

func TestStreamsAreLimitedAndForgotten(t *testing.T) {
	looks := make(chan struct{}, 1000)
	s := newStreams(func(context.Context, string) ([]frame, error) {
		looks <- struct{}{}
		return []frame{{event: "stage", seq: 1, data: []byte("{}")}}, nil
	}, time.Millisecond)
	var subs []*subscription
	for range maxProjectStreams {
		sub, err := s.join("task", "p")
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	if _, err := s.join("other", "p"); errcode.Of(err) != errcode.TooManyRequests {
		t.Errorf("one more: %v", err)
	}
	sub, err := s.join("task", "q")
	if err != nil {
		t.Error(err)
	}
	for _, one := range append(subs, sub) {
		s.leave(one)
	}
	if s.open != 0 || len(s.projects) != 0 || len(s.tasks) != 0 {
		t.Errorf("left are %d streams, %v, %v", s.open, s.projects, s.tasks)
	}
	time.Sleep(20 * time.Millisecond)
	for len(looks) > 0 {
		<-looks
	}
	time.Sleep(20 * time.Millisecond)
	if len(looks) > 1 {
		t.Error("a task to which nobody listens is looked at")
	}
}

func TestASlowListenerIsLetGo(t *testing.T) {
	n := int64(0)
	look := make(chan struct{})
	s := newStreams(func(ctx context.Context, _ string) ([]frame, error) {
		select {
		case <-look:
		case <-ctx.Done():
		}
		n++
		return []frame{{event: "stage", seq: n, data: []byte("{}")}}, nil
	}, time.Millisecond)
	slow, err := s.join("task", "p")
	if err != nil {
		t.Fatal(err)
	}
	quick, err := s.join("task", "p")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 * maxBehind {
		look <- struct{}{} // no more than the quick one has read
		if _, more := <-quick.frames; !more {
			t.Fatal("the quick listener is let go")
		}
	}
	got := 0
	for range slow.frames {
		got++
	}
	if got != maxBehind {
		t.Errorf("the slow listener got %d, want %d and the end", got, maxBehind)
	}
	s.leave(slow)
	s.leave(quick)
	if s.open != 0 || len(s.tasks) != 0 {
		t.Error("something is left")
	}
}
