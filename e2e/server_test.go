package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ingest/internal/client"
	"ingest/internal/contract"
)

// atOnce is how many tests run at a time, and slots bounds the servers that run at once:
// each embeds a Temporal service. They wait more than they work, so that two processors
// have room for four.
const atOnce = 4

var slots = make(chan struct{}, atOnce)

// A server is one data folder and the process that serves it at the moment.
type server struct {
	t    testing.TB
	data string
	args []string

	url      string // of the API
	temporal string // host:port of the embedded Temporal
	api      *client.Client
	began    time.Time // when the process was started
	ready    time.Time // when it had printed its greeting

	// givesTurn lets another server have this one's place among those that run at once.
	// What hardly does anything from there on can give it early.
	givesTurn func()

	cmd    *exec.Cmd
	exited chan error // what Wait returned
	dir    string     // holds what the processes wrote
	runs   int
}

// mostLog is how much of a server's log follows a failure, bytes: what keeps only the end of
// a test's output is to keep the failure too.
const mostLog = 5000

// start starts a server on a fresh data folder. It is killed when the test
// ends, and what it logged is printed if the test failed.
func start(t testing.TB, args []string, env ...string) *server {
	t.Helper()
	return startIn(t, filepath.Join(t.TempDir(), "data"), args, env...)
}

// startIn is start on a data folder that is not there yet.
func startIn(t testing.TB, data string, args []string, env ...string) *server {
	t.Helper()
	slots <- struct{}{}
	s := &server{t: t, data: data, dir: t.TempDir(), args: args, givesTurn: sync.OnceFunc(func() { <-slots })}
	t.Cleanup(s.givesTurn)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.last())
		}
		s.kill9()
	})
	s.run(env...)
	return s
}

// run starts a process and waits until it has greeted. The embedded Temporal looks for
// ports a moment before it listens at them: if another program was faster, the next
// process looks for others.
func (s *server) run(env ...string) {
	s.t.Helper()
	for range 3 {
		if s.begins(env) {
			return
		}
	}
	s.t.Fatal("the server finds no port that stays free")
}

// begins starts a process. It returns false if that found a port taken.
func (s *server) begins(env []string) bool {
	s.t.Helper()
	s.runs++
	stdout := s.create("stdout")
	defer stdout.Close()
	stderr := s.create("stderr")
	defer stderr.Close()
	args := append([]string{"serve", "--data-dir", s.data, "--listen", "127.0.0.1:0", "--ui=false"}, s.args...)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = stdout, stderr
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan error, 1)
	s.exited = exited
	go func() { exited <- cmd.Wait() }()
	return s.greeted(stdout.Name(), stderr.Name())
}

func (s *server) create(name string) *os.File {
	f, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("%s.%03d", name, s.runs)))
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

var (
	apiLine      = regexp.MustCompile(`(?m)^ +API +(https?://\S+)$`)
	temporalLine = regexp.MustCompile(`(?m)^ +Temporal +([^ ,]+),`)
)

// greeted waits for the greeting and reads the addresses in it. It returns false if there
// is none since a port was taken.
func (s *server) greeted(path, log string) bool {
	s.t.Helper()
	taken := false
	eventually(s.t, 90*time.Second, "the server's greeting", func() (bool, string) {
		select {
		case err := <-s.exited:
			s.exited <- err
			text, _ := os.ReadFile(log)
			if taken = strings.Contains(string(text), "address already in use"); taken {
				return true, ""
			}
			s.t.Fatalf("the server ended at its start: %v", err)
		default:
		}
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), "\nTry:\n") {
			return false, string(b)
		}
		s.url, s.temporal = apiLine.FindStringSubmatch(string(b))[1], temporalLine.FindStringSubmatch(string(b))[1]
		return true, ""
	})
	if taken {
		return false
	}
	s.ready = time.Now()
	var err error
	if s.api, err = client.New(s.url, ""); err != nil {
		s.t.Fatal(err)
	}
	return true
}

// kill9 kills the process as a power cut would.
func (s *server) kill9() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.cmd = nil
}

// term asks the process to stop and returns how long that took.
func (s *server) term(most time.Duration) time.Duration {
	s.t.Helper()
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.exited:
		s.cmd = nil
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				s.t.Errorf("SIGTERM: the server ended with %d, want 0", exit.ExitCode())
			}
		}
	case <-time.After(most):
		s.t.Fatalf("SIGTERM: the server runs on after %v", most)
	}
	return time.Since(began)
}

// restart starts a server on the same data folder again.
func (s *server) restart(env ...string) {
	s.t.Helper()
	s.run(env...)
}

// stalled waits until the process stands still behind a step: see cmd/ingest/stall.go.
func (s *server) stalled(step contract.Stage) {
	s.t.Helper()
	eventually(s.t, time.Minute, "the server stands still behind "+string(step), func() (bool, string) {
		text, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("stderr.%03d", s.runs)))
		return strings.Contains(string(text), "INGEST_TEST_STALL: standing still behind "+string(step)+"\n"), fmt.Sprint(err)
	})
}

// log returns what all processes have logged.
func (s *server) log() string {
	var all strings.Builder
	paths, _ := filepath.Glob(filepath.Join(s.dir, "std*"))
	for _, p := range paths {
		b, _ := os.ReadFile(p)
		fmt.Fprintf(&all, "--- %s\n%s", filepath.Base(p), b)
	}
	return all.String()
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// eventually asks until the answer is yes, and fails the test with the last
// word of ask when most has gone by.
func eventually(t testing.TB, most time.Duration, what string, ask func() (ok bool, is string)) {
	t.Helper()
	for end := time.Now().Add(most); ; time.Sleep(25 * time.Millisecond) {
		ok, is := ask()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v; last seen: %s", what, most, is)
		}
	}
}

// in returns the server for a subtest, which fails by itself.
func (s *server) in(t testing.TB) *server {
	sub := *s
	sub.t = t
	return &sub
}
