package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/api/wire"
)

// A live is an API behind a real listener, with the server's own bounds but for the time
// of a head and of a body.
type live struct {
	*bench
	addr string
}

// newLive gives heads and bodies so much time.
func newLive(t *testing.T, most time.Duration) live {
	t.Helper()
	before := resources()
	b := newBench(t, func(d *Deps) { d.BodyTime = most })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(b.handler)
	srv.ReadHeaderTimeout = most
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
		settle(t, before)
	})
	return live{b, ln.Addr().String()}
}

// A held counts what a process holds.
type held struct{ goroutines, files int }

func resources() held {
	files, _ := os.ReadDir("/proc/self/fd")
	return held{runtime.NumGoroutine(), len(files)}
}

// settle waits until no more is held than before. A catalogue in memory keeps a few.
func settle(t *testing.T, before held) {
	t.Helper()
	const slack = 12
	var now held
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if now = resources(); now.goroutines <= before.goroutines+slack && now.files <= before.files+slack {
			return
		}
	}
	t.Errorf("held before %+v, and now %+v", before, now)
}

// raw sends bytes as they are and returns what comes back until the server closes the
// connection or patience ends.
func (l live) raw(send string, patience time.Duration) string {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, send) // the server may close before all is sent
	out, _ := io.ReadAll(conn)
	return string(out)
}

func TestOddRequests(t *testing.T) {
	l := newLive(t, 10*time.Second)
	const tail = "Host: h\r\nConnection: close\r\n\r\n"
	long := strings.Repeat("x", 8000)
	for _, c := range []struct{ name, send, want string }{
		{"HTTP/1.0", "GET /versions HTTP/1.0\r\n\r\n", "HTTP/1.0 200"},
		{"no HTTP", "HELLO\r\n\r\n", "HTTP/1.1 400"},
		{"another version", "GET / HTTP/3.7\r\n" + tail, "HTTP/1.1 505"},
		{"no host", "GET /versions HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"two hosts", "GET /versions HTTP/1.1\r\nHost: a\r\n" + tail, "HTTP/1.1 400"},
		{"a path with NUL", "GET /v2/images/a%00b HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"a path that is no text", "GET /v2/images/%ff%fe HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"encoded slashes", "GET /v2/images/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\n" + tail, "HTTP/1.1 404"},
		{"encoded dots", "GET /v2/images/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + tail, "HTTP/1.1 404"},
		{"dots", "GET /v2/images/../../v1/server HTTP/1.1\r\n" + tail, "HTTP/1.1 30"},
		{"dots in a store", "DELETE /v2/stores/..%2f..%2fx/11111111-2222-3333-4444-555555555555 HTTP/1.1\r\n" + tail, "HTTP/1.1 404"},
		{"a bad escape", "GET /v2/images/%zz HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"a long path", "GET /v2/images/" + long + " HTTP/1.1\r\n" + tail, "HTTP/1.1 404"},
		{"a query with NUL", "GET /v2/images?name=%00 HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"a query that is no text", "GET /v2/images?os_distro=%ff HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"a huge limit", "GET /v2/images?limit=99999999999999999999 HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"a negative limit", "GET /v2/images?limit=-1 HTTP/1.1\r\n" + tail, "HTTP/1.1 400"},
		{"an absolute URL", "GET http://elsewhere/versions HTTP/1.1\r\n" + tail, "HTTP/1.1 200"},
		{"CONNECT", "CONNECT elsewhere:80 HTTP/1.1\r\n" + tail, "HTTP/1.1 40"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + tail, "HTTP/1.1 200"},
		{"TRACE", "TRACE /versions HTTP/1.1\r\n" + tail, "HTTP/1.1 405"},
		{"two lengths", "POST /v2/images HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n" + tail, "HTTP/1.1 400"},
		{"a negative length", "POST /v2/images HTTP/1.1\r\nContent-Length: -2\r\n" + tail, "HTTP/1.1 400"},
		{"a length beside chunks", "POST /v2/images HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n" + tail + "2\r\n{}\r\n0\r\n\r\n", "HTTP/1.1 "},
		{"bad chunks", "POST /v2/images HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + tail + "zz\r\n{}\r\n", "HTTP/1.1 400"},
		{"a header too long", "GET /versions HTTP/1.1\r\nX-A: " + strings.Repeat("x", MaxHeader+8<<10) + "\r\n" + tail, "HTTP/1.1 431"},
		{"too many headers", "GET /versions HTTP/1.1\r\n" + strings.Repeat("X-A: b\r\n", 20000) + tail, "HTTP/1.1 431"},
		{"header that is folded", "GET /versions HTTP/1.1\r\nX-A: b\r\n c\r\n" + tail, "HTTP/1.1 "},
		{"a body where none is taken", "GET /versions HTTP/1.1\r\nContent-Length: 5\r\n" + tail + "hello", "HTTP/1.1 200"},
		{"a body that is announced and too long", fmt.Sprintf("POST /v2/images HTTP/1.1\r\nContent-Length: %d\r\n", 1<<40) + tail + `{"name":"` + strings.Repeat("x", 2*MaxBody), "HTTP/1.1 413"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := l.raw(c.send, 30*time.Second)
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %.300q, want %q", got, c.want)
			}
			if strings.Contains(got, "root:") || strings.HasPrefix(got, "HTTP/1.1 50") && !strings.HasPrefix(c.want, "HTTP/1.1 50") {
				t.Errorf("got %.300q", got)
			}
		})
	}
}

// TestSlowClients: who sends a byte now and then is sent away in time, and others are
// served meanwhile.
func TestSlowClients(t *testing.T) {
	l := newLive(t, 3*time.Second)
	const n = 60
	begins := []string{
		"GET /versions HTTP/1.1\r\nHost: h\r\nX-A: ",
		"POST /v2/images HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{\"name\":\"",
		"PATCH /v2/images/11111111-2222-3333-4444-555555555555 HTTP/1.1\r\nHost: h\r\nContent-Type: " + patchNew + "\r\nTransfer-Encoding: chunked\r\n\r\n",
		"DELETE /v2/images/11111111-2222-3333-4444-555555555555 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n",
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			conn, err := net.Dial("tcp", l.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, begins[i%len(begins)])
			go func() {
				for {
					time.Sleep(50 * time.Millisecond)
					if _, err := io.WriteString(conn, "x"); err != nil {
						return
					}
				}
			}()
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.ReadAll(conn); os.IsTimeout(err) {
				t.Errorf("%.40q is still served", begins[i%len(begins)])
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	for range 5 {
		if got := l.raw("GET /versions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 20*time.Second); !strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("others are not served: %.200q", got)
		}
	}
	all.Wait()
}

// TestLateBodies: what came too late is 408, and a connection that is used again has the
// whole time again: its bodies take longer together than one may.
func TestLateBodies(t *testing.T) {
	const most, pause = 3 * time.Second, 400 * time.Millisecond
	l := newLive(t, most)
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	answers := bufio.NewReader(conn)
	ask := func(begin, rest string, pause time.Duration) *http.Response {
		t.Helper()
		_, _ = io.WriteString(conn, begin)
		time.Sleep(pause)
		_, _ = io.WriteString(conn, rest)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		if resp.StatusCode >= 400 {
			var e wire.ErrorBody
			if json.Unmarshal(raw, &e) != nil || e.Error.Code == "" {
				t.Errorf("got %s", raw)
			}
		}
		return resp
	}
	const post = "POST /v2/images HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n"
	for range most/pause + 1 {
		if resp := ask(post+`{"na`, `me":"n"}`, pause); resp.StatusCode != 201 {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
	if resp := ask(post+`{"na`, "", 0); resp.StatusCode != 408 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// TestParallelConflicts lets many change, import, withhold and delete the same images at
// once: answers are those that are documented, and what is left is whole.
func TestParallelConflicts(t *testing.T) {
	l := newLive(t, 30*time.Second)
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	do := func(method, path, body string, header ...string) (int, []byte) {
		r, err := http.NewRequest(method, "http://"+l.addr+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, raw
	}
	for round := range 4 {
		status, raw := do("POST", "/v2/images", someImage)
		var img struct{ ID string }
		if status != 201 || json.Unmarshal(raw, &img) != nil {
			t.Fatalf("%d %s", status, raw)
		}
		path := "/v2/images/" + img.ID
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				var got int
				var raw []byte
				switch i % 5 {
				case 0, 1:
					got, raw = do("PATCH", path, fmt.Sprintf(`[{"op":"add","path":"/p%d","value":"v"}]`, i), "Content-Type", patchNew)
				case 2:
					got, raw = do("POST", path+"/import", strings.Replace(download, "disk", fmt.Sprint("disk", i), 1))
				case 3:
					got, raw = do("POST", path+"/actions/deactivate", "")
				default:
					if i > 20 && round%2 == 0 {
						got, raw = do("DELETE", path, "")
					} else {
						got, raw = do("GET", path, "")
					}
				}
				if got >= 500 || got == 400 || got == 0 {
					t.Errorf("got %d %s", got, raw)
				}
			})
		}
		all.Wait()
		status, raw = do("GET", path, "")
		if want := map[bool]int{true: 404, false: 200}[round%2 == 0]; status != want {
			t.Errorf("at last %d %s", status, raw)
		}
		if round%2 == 0 {
			continue
		}
		for i := range 40 {
			if name := fmt.Sprintf(`"p%d":"v"`, i); i%5 < 2 && !strings.Contains(string(raw), name) {
				t.Errorf("%s is lost: %s", name, raw)
			}
		}
	}
}
