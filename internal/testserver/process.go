// Package testserver runs the servers that tests need: real ones, on ports of 127.0.0.1
// that nobody else has, which end with the test process whatever ends that.
package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Process is one server that was started.
type Process struct {
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
}

// Start starts a server. What cmd prints is kept, and it is killed when this process
// dies.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	// Processes that a killed server leaves hold its output open for a moment.
	cmd.WaitDelay = time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	go func() {
		// The signal comes when the thread dies that has started the server: this one
		// is nobody else's and lives as long as that.
		runtime.LockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output returns what the server has printed so far.
func (p *Process) Output() string { return p.out.String() }

// Ended is closed when the server has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill kills the server, and waits until it is gone. It may be called again.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Ready waits until the server answers a URL with anything but an error of its own.
func (p *Process) Ready(url string, patience time.Duration) error {
	return p.Await(patience, func() error {
		resp, err := http.Get(url)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	})
}

// Await calls ask until it has no error. The last one is returned when patience is at
// its end, or the server has ended.
func (p *Process) Await(patience time.Duration, ask func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return errors.Join(errors.New("it has ended"), err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// asked counts the ports that this process has asked for.
var asked atomic.Int64

// FreePort returns a port of 127.0.0.1 that nobody listens at. It is none of those that
// the system gives to whoever listens at no port in particular or connects to somebody:
// such a one may be gone before a server listens, which takes seconds on a busy machine.
// Processes that ask at the same time begin at different places.
func FreePort() (string, error) {
	first, n := 10_000, firstOfTheSystem()-10_000
	for range min(n, 1000) {
		port := strconv.Itoa(first + (os.Getpid()*97+int(asked.Add(1)))%n)
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// firstOfTheSystem is the first port that the system gives away by itself, 0 if it does
// not tell.
func firstOfTheSystem() int {
	var first int
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	_, _ = fmt.Sscan(string(text), &first)
	return first
}

// output is what a server prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
