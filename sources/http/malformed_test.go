package http

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"ingest/internal/errcode"
	"ingest/sources"
)

// TestFloods has servers that never end what they say before the content. What
// they get rid of must be bounded.
func TestFloods(t *testing.T) {
	for name, tt := range map[string]struct{ head, again string }{
		"endless header line":     {"HTTP/1.1 200 OK\r\nX: ", "xxxxxxxx"},
		"endless header lines":    {"HTTP/1.1 200 OK\r\n", "X: y\r\n"},
		"endless continuation":    {"HTTP/1.1 200 OK\r\nX: y\r\n", " y\r\n"},
		"endless status line":     {"HTTP/1.1 200 ", "OK"},
		"endless interim answers": {"", "HTTP/1.1 103 Early Hints\r\n\r\n"},
		"endless empty lines":     {"", "\r\n"},
		"endless redirect body":   {"HTTP/1.1 302 Found\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n"},
		"endless error body":      {"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n"},
		"endless chunk size":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "00000000"},
		"endless chunk extension": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=", "yyyyyyyy"},
		"endless chunk overhead":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;" + strings.Repeat("x", 1000) + "\r\ny\r\n"},
		"endless trailer":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n", "X: y\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var sent, conns atomic.Int64
			url := raw(t, func(c net.Conn, _ *http.Request) bool {
				conns.Add(1)
				out := bufio.NewWriterSize(&counter{c, &sent}, 64<<10)
				_, err := out.WriteString(tt.head)
				for err == nil {
					_, err = out.WriteString(tt.again)
				}
				return false
			})
			o := testOptions()
			o.Retries = -1
			d := New(o)
			s, err := d.Open(t.Context(), sources.Ref{URL: url}, nil)
			if err == nil {
				_, err = readStream(t, s, 0)
			}
			want := errcode.SourceUnreachable
			switch {
			case strings.Contains(name, "redirect"):
				want = errcode.SourceRedirect
			case strings.Contains(name, "error"):
				want = errcode.SourceNotFound
			}
			wantCode(t, "Open and stream", err, want)
			// What lies in the buffers of two sockets was never read.
			if most := conns.Load() * (16 << 20); sent.Load() > most {
				t.Errorf("the server got rid of %d bytes", sent.Load())
			}
		})
	}
}

type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// TestMalformed has answers that two readers could understand differently, or
// that are no HTTP/1.1 at all. None yields a byte.
func TestMalformed(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"two lengths":                ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
		"list of lengths":            ok + "Content-Length: 5, 6\r\n\r\nabcdef",
		"negative length":            ok + "Content-Length: -1\r\n\r\nabcdef",
		"signed length":              ok + "Content-Length: +5\r\n\r\nabcdef",
		"huge length":                ok + "Content-Length: 99999999999999999999\r\n\r\nabcdef",
		"hexadecimal length":         ok + "Content-Length: 0x5\r\n\r\nabcdef",
		"gzip as transfer encoding":  ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"unknown transfer encoding":  ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"no status":                  "HTTP/1.1\r\n\r\n",
		"status that is no number":   "HTTP/1.1 2xx OK\r\n\r\n",
		"HTTP/0.9":                   "<html>",
		"HTTP/2 preface and a frame": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"HTTP/2 settings":            "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"switch of protocols":        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		"header without colon":       ok + "Content-Length\r\n\r\nabcde",
		"NUL in a header":            ok + "X: a\x00b\r\nContent-Length: 5\r\n\r\nabcde",
		"chunk size that is none":    ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n0\r\n\r\n",
		"huge chunk":                 ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabcde",
		"nothing":                    "",
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.Retries = -1
			s, err := New(o).Open(t.Context(), sources.Ref{URL: raw(t, always(text))}, nil)
			var got []byte
			if err == nil {
				got, err = readStream(t, s, 0)
			}
			wantCode(t, "Open and stream", err, errcode.SourceUnreachable)
			if len(got) > 0 {
				t.Errorf("%d bytes came through", len(got))
			}
		})
	}
}

// TestLengths has servers that send more or less than they announced.
func TestLengths(t *testing.T) {
	const body = "0123456789"
	for name, tt := range map[string]struct {
		head string
		want string
		code errcode.Code
	}{
		"exact":          {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", body, ""},
		"longer":         {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "0123456", ""},
		"shorter":        {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", body, errcode.SourceLengthMismatch},
		"chunk too long": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n", body, errcode.SourceLengthMismatch},
		"no end":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n", body, errcode.SourceLengthMismatch},
		"until it ends":  {"HTTP/1.0 200 OK\r\n\r\n", body, ""},
	} {
		o := testOptions()
		o.Retries = -1
		s := open(t, o, raw(t, always(tt.head+body)))
		got, err := readStream(t, s, 0)
		wantCode(t, name, err, tt.code)
		if string(got) != tt.want {
			t.Errorf("%s: stream = %q, want %q", name, got, tt.want)
		}
	}
}
