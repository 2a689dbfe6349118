package testserver

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(exec.Command("python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", t.TempDir(), port))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.Ready("http://127.0.0.1:"+port+"/", time.Minute); err != nil {
		t.Fatalf("%v\n%s", err, p.Output())
	}
	told := func() error {
		if !strings.Contains(p.Output(), port) {
			return fmt.Errorf("printed %q", p.Output())
		}
		return nil
	}
	if err := p.Await(time.Minute, told); err != nil {
		t.Error(err)
	}
	for range 2 {
		p.Kill()
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("it answers behind its end")
	}
}

func TestProcessThatEnds(t *testing.T) {
	p, err := Start(exec.Command("sh", "-c", "echo no such option >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ready("http://127.0.0.1:1/", time.Minute); err == nil || !strings.Contains(err.Error(), "ended") || p.Output() != "no such option\n" {
		t.Errorf("%v, printed %q", err, p.Output())
	}
	if _, err := Start(exec.Command("/nowhere/at/all")); err == nil {
		t.Error("a program that there is not has started")
	}
}
