package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/client"

	"ingest/internal/temporalclient"
	"ingest/internal/tools/ingestserver"
)

const (
	// hostNamespace is that of the Temporal server's own ingest, which does nothing.
	hostNamespace = "host"
	namespace     = "bench"
)

// A house is a Temporal server with a client of the namespace in which is measured.
type house struct {
	dir      string
	temporal *ingestserver.Server
	client   client.Client
}

// newHouse starts one on a new file. The server is that of `ingest serve`, whose own
// worker serves another namespace, in which nothing happens.
func (b *bench) newHouse(ctx context.Context, dir string) (*house, error) {
	h := &house{dir: filepath.Join(dir, "temporal")}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if h.temporal, err = ingestserver.StartWith(ctx, b.profiled("temporal"), b.o.ingest, h.dir, "--namespace", hostNamespace, "--ui=false"); err != nil {
		return nil, err
	}
	address := h.temporal.Temporal
	out, err := exec.CommandContext(ctx, b.o.ingest, "temporal", "setup", "--temporal", address, "--namespace", namespace).CombinedOutput()
	if err == nil {
		h.client, err = temporalclient.Dial(ctx, temporalclient.Options{HostPort: address, Namespace: namespace, Logger: zerolog.Nop(), Wait: time.Minute})
	}
	if err != nil {
		h.close()
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return h, nil
}

func (h *house) close() {
	if h.client != nil {
		h.client.Close()
	}
	h.temporal.Stop()
}

// worker starts an `ingest serve` on the house's Temporal server.
func (b *bench) worker(ctx context.Context, h *house, dir string) (*ingestserver.Server, error) {
	dir = filepath.Join(dir, "worker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return ingestserver.StartWith(ctx, b.profiled("worker"), b.o.ingest, dir, "--temporal", h.temporal.Temporal, "--namespace", namespace,
		"--imports", strconv.Itoa(b.o.imports))
}

// profiled is the variable by which a server profiles itself, if that is asked for.
func (b *bench) profiled(name string) []string {
	if b.o.profile == "" {
		return nil
	}
	return []string{"INGEST_CPUPROFILE=" + filepath.Join(b.o.profile, fmt.Sprintf("%03d-%s.prof", b.runs, name))}
}

// A bareWorker is this program as a worker of bare workflows.
type bareWorker struct {
	cmd *exec.Cmd
	in  io.Closer
}

func startBare(ctx context.Context, h *house) (*bareWorker, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, "-bare-worker", h.temporal.Temporal, "-namespace", namespace)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &bareWorker{cmd: cmd, in: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != ready {
		return nil, errors.Join(fmt.Errorf("the bare worker did not come up: %q", line), err, w.stop())
	}
	return w, nil
}

// cpu is what the worker has taken so far.
func (w *bareWorker) cpu() (time.Duration, error) { return ingestserver.CPU(w.cmd.Process.Pid) }

func (w *bareWorker) stop() error { return errors.Join(w.in.Close(), w.cmd.Wait()) }
