package main

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

// A server is the `ingest serve` that is measured.
type server struct {
	cmd    *exec.Cmd
	exited chan error
	log    string
	api    *client.Client
}

// startServer starts a server with its own data folder and waits for its
// greeting.
func startServer(ctx context.Context, bin, dir string) (*server, error) {
	s := &server{log: filepath.Join(dir, "serve.log"), exited: make(chan error, 1)}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.Command(bin, "serve", "--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0",
		"--file-roots", filepath.Join(dir, "images"), "--allow-net", "127.0.0.0/8")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.exited <- s.cmd.Wait() }()
	if err := s.greeted(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) greeted(ctx context.Context) error {
	line := regexp.MustCompile(`(?m)^ +API +(http://\S+)$`)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		b, err := os.ReadFile(s.log)
		if err != nil {
			return err
		}
		if m := line.FindSubmatch(b); m != nil {
			s.api, err = client.New(string(m[1]), "")
			return err
		}
		if err := s.pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the server did not come up\n%s", s.tail())
}

// pause waits, unless the server ends or the context does.
func (s *server) pause(ctx context.Context, d time.Duration) error {
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

// stop asks the server to stop, and makes it after a while.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// tail returns the end of the server's log.
func (s *server) tail() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// importOne imports one image and waits for its end.
func (s *server) importOne(ctx context.Context, url, to string) (wire.Task, error) {
	sub, err := s.api.Import(ctx, contract.ImportRequest{
		Source: contract.SourceSpec{URL: url}, Target: contract.TargetSpec{Format: to}, Image: contract.ImageSpec{Name: "memory"},
	})
	if err != nil {
		return wire.Task{}, err
	}
	for {
		task, err := s.api.Task(ctx, sub.TaskID)
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
		if err := s.pause(ctx, 200*time.Millisecond); err != nil {
			return task, err
		}
	}
}
