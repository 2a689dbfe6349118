package glancetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/testserver"
)

// longest is how long a server may take to answer for the first time: two or three
// seconds on a machine that does nothing else.
const longest = 2 * time.Minute

// start runs a server until the test ends, and returns once it answers.
func start(tb testing.TB, dir, url string, env []string, program string, args ...string) {
	tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	server, err := testserver.Start(cmd)
	if err != nil {
		tb.Fatalf("%v: run scripts/setup, which installs it", err)
	}
	tb.Cleanup(server.Kill)
	if err := server.Ready(url, longest); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		tb.Fatalf("%s does not start: %v\n%s\n%s", filepath.Base(program), err, server.Output(), log[max(len(log)-4000, 0):])
	}
}

// run runs a program to its end.
func run(tb testing.TB, dir string, program string, args ...string) {
	tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v: run scripts/setup, which installs it\n%s", program, err, out)
	}
}

// freePort returns a port that nobody listens at.
func freePort(tb testing.TB) string {
	tb.Helper()
	port, err := testserver.FreePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func folders(tb testing.TB, dir string, names ...string) {
	tb.Helper()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
}
