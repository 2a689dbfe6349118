// Package ingestserver runs an `ingest serve` for the tools that measure it.
package ingestserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"ingest/api/wire"
	"ingest/internal/client"
	"ingest/internal/contract"
)

// A Server is an `ingest serve` with a data folder of its own.
type Server struct {
	API *client.Client
	URL string // of the API
	// Temporal is the address of the Temporal server that it uses.
	Temporal string

	cmd    *exec.Cmd
	exited chan error
	log    string
}

// Start starts a server that keeps its data and log below dir and may read loopback
// addresses, with further arguments, and waits for its greeting.
func Start(ctx context.Context, bin, dir string, args ...string) (*Server, error) {
	return StartWith(ctx, nil, bin, dir, args...)
}

// StartWith is Start with variables beside those of the environment.
func StartWith(ctx context.Context, env []string, bin, dir string, args ...string) (*Server, error) {
	s := &Server{log: filepath.Join(dir, "serve.log"), exited: make(chan error, 1)}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.Command(bin, append([]string{"serve", "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0",
		"--allow-net", "127.0.0.0/8"}, args...)...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.exited <- s.cmd.Wait() }()
	if err := s.greeted(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) greeted(ctx context.Context) error {
	line := regexp.MustCompile(`(?ms)^ +API +(http://\S+)$.*^ +Temporal +(\S+), namespace \S+$`)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		b, err := os.ReadFile(s.log)
		if err != nil {
			return err
		}
		if m := line.FindSubmatch(b); m != nil {
			s.URL, s.Temporal = string(m[1]), string(m[2])
			s.API, err = client.New(s.URL, "")
			return err
		}
		if err := s.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the server did not come up\n%s", s.Tail())
}

// Pause waits, unless the server ends or the context does.
func (s *Server) Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case err := <-s.exited:
		s.exited <- err
		return fmt.Errorf("the server ended: %v", err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop asks the server to stop, and makes it after a while.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// Tail returns the end of the server's log.
func (s *Server) Tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// askEvery is how often a task is asked for: it is part of what an import takes.
const askEvery = 20 * time.Millisecond

// Import imports one image and waits for its end.
func (s *Server) Import(ctx context.Context, req contract.ImportRequest) (wire.Task, error) {
	sub, err := s.API.Import(ctx, req)
	if err != nil {
		return wire.Task{}, err
	}
	for {
		task, err := s.API.Task(ctx, sub.TaskID)
		switch {
		case err != nil:
			return task, err
		case task.Status == "success":
			return task, nil
		case task.Finished() && task.Error != nil:
			return task, fmt.Errorf("%s: %s", task.Error.Code, task.Error.Message)
		case task.Finished():
			return task, errors.New(task.Message)
		}
		if err := s.Pause(ctx, askEvery); err != nil {
			return task, err
		}
	}
}
