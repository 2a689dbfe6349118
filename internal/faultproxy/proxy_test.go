package faultproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"ingest/internal/faultproxy"
)

// blob is what the server of these tests sends to everybody who connects.
var blob = bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)

// serve sends blob to every connection, reads what the client has to say, and
// ends.
func serve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.Write(blob)
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func start(t *testing.T, shape faultproxy.Shape) *faultproxy.Proxy {
	t.Helper()
	proxy, err := faultproxy.Start(serve(t), shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	return proxy
}

func fetch(t *testing.T, proxy *faultproxy.Proxy) ([]byte, error) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		return nil, err // a reset may be quicker than the return from connect
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return io.ReadAll(conn)
}

func TestForwards(t *testing.T) {
	proxy := start(t, faultproxy.Shape{})
	got, err := fetch(t, proxy)
	if err != nil || !bytes.Equal(got, blob) {
		t.Fatalf("got %d bytes, %v; want the server's %d", len(got), err, len(blob))
	}
	if err := proxy.Close(); err != nil {
		t.Fatal(err)
	}
	if c := proxy.Counts(); c.Accepted != 1 || c.Open != 0 || c.ToClient != int64(len(blob)) {
		t.Errorf("counts are %+v", c)
	}
}

func TestFaults(t *testing.T) {
	const after = 40_001
	flipped := bytes.Clone(blob)
	flipped[after] ^= 0xff
	tests := []struct {
		name string
		kind faultproxy.Kind
		want []byte
		err  error
	}{
		{"close", faultproxy.Close, blob[:after], nil},
		{"reset", faultproxy.Reset, nil, syscall.ECONNRESET},
		{"corrupt", faultproxy.Corrupt, flipped, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proxy := start(t, faultproxy.Shape{})
			proxy.SetFaults(func(conn int) faultproxy.Fault {
				if conn > 0 {
					return faultproxy.Fault{}
				}
				return faultproxy.Fault{Kind: tt.kind, After: after}
			})
			got, err := fetch(t, proxy)
			if !errors.Is(err, tt.err) {
				t.Errorf("the client's error is %v, want %v", err, tt.err)
			}
			if tt.want != nil && !bytes.Equal(got, tt.want) {
				t.Errorf("the client got %d bytes, want %d", len(got), len(tt.want))
			}
			if got, err := fetch(t, proxy); err != nil || !bytes.Equal(got, blob) {
				t.Errorf("the next connection got %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestStallLastsUntilTheProxyResets(t *testing.T) {
	proxy := start(t, faultproxy.Shape{})
	proxy.SetFaults(func(int) faultproxy.Fault { return faultproxy.Fault{Kind: faultproxy.Stall, After: 10} })
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("a stalled connection gave %d bytes, %v", n, err)
	}
	if n := proxy.ResetAll(); n != 1 {
		t.Errorf("%d connections were open, want 1", n)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the reset: %v", err)
	}
}

// TestShape looks at lower bounds only: a busy machine makes all of it longer.
func TestShape(t *testing.T) {
	tests := []struct {
		name  string
		shape faultproxy.Shape
		least time.Duration
	}{
		{"latency", faultproxy.Shape{Latency: 100 * time.Millisecond}, 150 * time.Millisecond},
		{"bandwidth", faultproxy.Shape{BytesPerSecond: 256 << 10}, 250 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proxy := start(t, tt.shape)
			begin := time.Now()
			got, err := fetch(t, proxy)
			if err != nil || !bytes.Equal(got, blob) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			if took := time.Since(begin); took < tt.least {
				t.Errorf("took %v, want at least %v", took, tt.least)
			}
		})
	}
}

func TestDeadServer(t *testing.T) {
	proxy, err := faultproxy.Start("127.0.0.1:1", faultproxy.Shape{})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	if got, _ := fetch(t, proxy); len(got) != 0 {
		t.Errorf("got %d bytes from a dead server", len(got))
	}
}
