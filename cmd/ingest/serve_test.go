package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"go.temporal.io/sdk/worker"

	"ingest/internal/config"
	"ingest/internal/errcode"
)

// serveOutcome runs `ingest serve`, which must not come up.
func serveOutcome(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append([]string{"serve"}, args...), &out, &errOut)
	return outcome{code, out.String(), errOut.String()}
}

func TestServeRefusesWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"extra"}, {"--data-dir", ""}, {"--listen", "0.0.0.0:1"}, {"--output-format", "vmdk"}, {"--drain", "long"},
	} {
		serveOutcome(t, args...).want(t, 2, ``, "error: .*\nSee `ingest serve --help`.\n")
	}
}

// What keeps the server from coming up is said with its cause and with what to
// do, and nothing has been begun.
func TestServeSaysWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "data")
	serveOutcome(t, "--data-dir", dir, "--listen", taken.Addr().String()).
		want(t, 1, ``, `error: CONFLICT the API cannot listen: .*address already in use\n  what to do: Stop the program .*\n`)
	if _, err := os.Stat(filepath.Join(dir, "catalogue.db")); !os.IsNotExist(err) {
		t.Errorf("a server without a port opened its catalogue: %v", err)
	}
	c := &config.Server{DataDir: dir}
	unlock, err := lockData(c)
	if err != nil {
		t.Fatal(err)
	}
	serveOutcome(t, "--data-dir", dir, "--listen", "127.0.0.1:0").
		want(t, 1, ``, `error: CONFLICT .*another ingest uses `+regexp.QuoteMeta(dir)+`\n  what to do: .*--data-dir.*\n`)
	unlock()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serveOutcome(t, "--data-dir", file, "--json").
		want(t, 1, ``, `\{\n  "error": \{\n    "code": "BAD_REQUEST",.*not a directory.*"remedy": ".*--data-dir.*\n`)
	if err := os.WriteFile(filepath.Join(dir, "store"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serveOutcome(t, "--data-dir", dir, "--listen", "127.0.0.1:0").
		want(t, 1, ``, `error: STORE_UNAVAILABLE the store local cannot be opened: .*not a directory\n  what to do: See what stands at .*/store.*\n`)
}

func TestNotStartedKeepsWhatIsKnown(t *testing.T) {
	if notStarted(nil, "x", "") != nil {
		t.Error("no error is one")
	}
	err := notStarted(errcode.Wrap(errors.New("dial: refused"), errcode.WorkflowService, "no Temporal"), "connect", "")
	var s *startError
	if !errors.As(err, &s) || s.detail.Code != errcode.WorkflowService || s.detail.Message != "connect: no Temporal: dial: refused" ||
		s.detail.Remedy != errcode.Lookup(errcode.WorkflowService).Remedy {
		t.Errorf("got %+v", s)
	}
}

// a stopper is a worker of which only its stop is used.
type stopper struct {
	worker.Worker
	stop func()
}

func (s stopper) Stop() { s.stop() }

// The workers must hear of the end although a request hangs, and each although
// another one is busy: here each waits for the other, and the request for both.
func TestDrainStopsAllSideBySide(t *testing.T) {
	a, b, asked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := &services{workers: []worker.Worker{
		stopper{stop: func() { close(a); <-b }},
		stopper{stop: func() { close(b); <-a }},
	}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-a
		<-b
		io.WriteString(w, "done")
	})}
	go srv.Serve(ln)
	answer := make(chan string)
	go func() {
		r, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		answer <- string(body)
	}()
	<-asked
	drain(srv, s, time.Minute)
	if got := <-answer; got != "done" {
		t.Errorf("the request was answered %q", got)
	}
}
