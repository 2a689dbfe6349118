package http

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ingest/internal/faultproxy"
	"ingest/internal/testserver"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

// startNginx serves folder root with the lines in its location, and returns its URL.
func startNginx(t *testing.T, root, lines string) string {
	t.Helper()
	exe, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatalf("nginx is missing (%v): run scripts/setup", err)
	}
	port, err := testserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address, dir := "127.0.0.1:"+port, t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events { worker_connections 512; }
http {
	access_log off; etag on; server_tokens off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	limit_conn_zone $server_port zone=all:1m;
	server { listen %[2]s; location / { root %[3]s; %[4]s } }
}`, dir, address, root, lines)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-p", dir, "-e", "stderr", "-c", path)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 1500 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		time.Sleep(20 * time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
	t.Fatalf("nginx does not listen: %s", said.String())
	return ""
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestNginx reads from a real server: with ranges, without, throttled, over a network
// that breaks connections, and with fewer connections allowed than are asked for.
// Nothing is left behind.
func TestNginx(t *testing.T) {
	content := sourcetest.Content(12<<20+1, 41)
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "disk.raw"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	routines, files := runtime.NumGoroutine(), openFiles(t)
	for _, tt := range []struct {
		name, lines string
		random      bool
		faults      func(conn int) faultproxy.Fault
	}{
		{"ranges", "", true, nil},
		{"no ranges", "max_ranges 0;", false, nil},
		{"throttled", "limit_rate 4m;", true, nil},
		{"few connections", "limit_conn all 2;", true, nil},
		{"cut", "", true, func(conn int) faultproxy.Fault {
			return faultproxy.Fault{Kind: faultproxy.Kind(conn % 3), After: int64(conn%7) * 300_000}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy, at := proxied(t, startNginx(t, root, tt.lines)+"/disk.raw")
			d := New(testOptions())
			t.Cleanup(d.c.transport.CloseIdleConnections)
			s, err := d.Open(t.Context(), sources.Ref{URL: at}, nil)
			if err != nil {
				t.Fatal(causes(err))
			}
			defer s.Close()
			if pin := s.Pin(); pin.Random != tt.random || !pin.Strong || pin.Size != int64(len(content)) {
				t.Errorf("pin %+v", pin)
			}
			proxy.SetFaults(tt.faults)
			proxy.ResetAll()
			var got []byte
			if tt.random {
				got, err = readParallel(t.Context(), s, 1<<20)
			} else {
				got, err = readStream(t, s, 0)
			}
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), causes(err))
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
	var left string
	for range 1500 {
		if runtime.NumGoroutine() <= routines && openFiles(t) <= files {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	stacks := make([]byte, 64<<10)
	left = strings.TrimSpace(string(stacks[:runtime.Stack(stacks, true)]))
	t.Errorf("%d goroutines and %d descriptors, before they were %d and %d:\n%s", runtime.NumGoroutine(), openFiles(t), routines, files, left)
}
