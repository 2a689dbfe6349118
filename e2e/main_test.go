package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) { // nobody has said otherwise
		_ = f.Value.Set(fmt.Sprint(max(atOnce, runtime.GOMAXPROCS(0))))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		fmt.Fprintln(os.Stderr, "NOT TESTED: package e2e runs real servers and is left out by -short")
		return 0
	}
	if binary = os.Getenv("INGEST_E2E_BINARY"); binary != "" { // one that was built before, such as a release
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "ingest-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "ingest")
	// The Makefile's flags: others would compile the Temporal server again.
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -X main.version=e2e", "-o", binary, "../cmd/ingest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build ingest: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A said is what a command of ours wrote and how it ended.
type said struct {
	stdout, stderr string
	code           int
}

// ingest runs the binary to its end.
func ingest(t testing.TB, args ...string) said {
	t.Helper()
	return ingestEnv(t, nil, args...)
}

// ingestEnv is ingest with additions to the environment.
func ingestEnv(t testing.TB, env []string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OS_") { // the cloud of whoever runs the tests
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("ingest %q: %v", args, err)
	}
	return said{o.String(), e.String(), cmd.ProcessState.ExitCode()}
}
