package http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/readahead"
	"ingest/sources"
)

// The tests of this file run in bubbles whose clock moves on when all wait, with
// the default limits.

// slow is a source of zeros that is served in pieces, each after a pause. With
// ranges if it has a tag.
type slow struct {
	size   int64
	ranges bool
	header time.Duration // before the header of an answer to more than the first byte
	piece  int           // bytes written at once
	pause  time.Duration // before each piece
	cut    int64         // the connection breaks behind so many bytes of an answer; 0 means never
}

func (s slow) answer(c net.Conn, r *http.Request) bool {
	first, last := int64(0), s.size-1
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
	left := last - first + 1
	switch {
	case !s.ranges:
		first, left = 0, s.size
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", s.size)
	default:
		if left > 1 {
			time.Sleep(s.header)
		}
		fmt.Fprintf(c, "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n", left, first, last, s.size)
		if left == 1 {
			c.Write([]byte{0})
			return true
		}
	}
	zeros := make([]byte, s.piece)
	for sent := int64(0); left > 0; {
		time.Sleep(s.pause)
		n, err := c.Write(zeros[:min(int64(s.piece), left)])
		left -= int64(n)
		sent += int64(n)
		if err != nil || (s.cut > 0 && sent >= s.cut) {
			return false
		}
	}
	return true
}

// drain reads a stream in large pieces, as a transfer does.
func drain(t *testing.T, s sources.Source) (int64, error) {
	t.Helper()
	r, err := s.Stream(t.Context(), 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, p := int64(0), make([]byte, 256<<10)
	for {
		m, err := r.Read(p)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func TestSlowServers(t *testing.T) {
	const rate = 64 << 10
	for _, tt := range []struct {
		name string
		o    Options
		s    slow
		want errcode.Code
	}{
		{"at the minimum rate", Options{}, slow{size: 200 * rate, piece: 4096, pause: time.Second / 16}, ""},
		{"one byte in each piece below it", Options{}, slow{size: 200 * rate, piece: 4095, pause: time.Second / 16}, errcode.SourceTooSlow},
		{"another rate, reached", Options{MinRate: 100, RateWindow: 10 * time.Second}, slow{size: 5000, piece: 100, pause: time.Second}, ""},
		{"another rate, missed", Options{MinRate: 101, RateWindow: 10 * time.Second}, slow{size: 5000, piece: 100, pause: time.Second}, errcode.SourceTooSlow},
		{"single bytes, no minimum", Options{MinRate: -1}, slow{size: 500, piece: 1, pause: 29 * time.Second}, ""},
		{"single bytes", Options{}, slow{size: 1 << 20, piece: 1, pause: time.Second}, errcode.SourceTooSlow},
		{"a pause just within the limit", Options{MinRate: -1}, slow{size: 500, piece: 100, pause: 30*time.Second - 1}, ""},
		{"a pause just beyond it", Options{MinRate: -1}, slow{size: 500, piece: 100, pause: 30*time.Second + 1}, errcode.SourceTooSlow},
		{"less than a window in all", Options{}, slow{size: 1000, piece: 500, pause: 20 * time.Second}, ""},
	} {
		for _, ranges := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ranges %v", tt.name, ranges), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tt.s.ranges = ranges
					d := pipes(t, tt.o, tt.s.answer)
					s, err := d.Open(t.Context(), sources.Ref{URL: "http://example.com/"}, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					n, err := drain(t, s)
					wantCode(t, "stream", err, tt.want)
					if err == nil && n != tt.s.size {
						t.Errorf("%d bytes, want %d", n, tt.s.size)
					}
				})
			})
		}
	}
}

// TestSlowInPieces has servers that send too little, but give no single
// connection the time to show it.
func TestSlowInPieces(t *testing.T) {
	const mib = 1 << 20
	for name, s := range map[string]slow{
		"breaks every 20 seconds":   {piece: mib / 20, pause: time.Second, cut: mib},
		"29 seconds to each header": {header: 29 * time.Second, piece: 64 << 10, cut: mib},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s.size, s.ranges = 100*mib, true
				src, err := pipes(t, Options{}, s.answer).Open(t.Context(), sources.Ref{URL: "http://example.com/"}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				_, err = drain(t, src)
				wantCode(t, "stream", err, errcode.SourceTooSlow)
			})
		})
	}
	for ahead, rest := range map[int]time.Duration{-1: 20 * time.Second, 4: 25 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := slow{size: 100 * mib, ranges: true, piece: mib / 4, pause: rest}
			if ahead < 0 {
				s.pause = rest / 4
			}
			src, err := pipes(t, Options{Readahead: readahead.Options{Ahead: ahead}}, s.answer).Open(t.Context(), sources.Ref{URL: "http://example.com/"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			r, err := src.ReaderAt(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 512<<10)
			for off := int64(0); err == nil && off < src.Pin().Size; off += int64(len(p)) {
				_, err = r.ReadAt(p, off)
			}
			wantCode(t, fmt.Sprintf("reads with readahead %d", ahead), err, errcode.SourceTooSlow)
		})
	}
}

// TestReaderTakesItsTime shows that only the server's time counts.
func TestReaderTakesItsTime(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := slow{size: 100_000, ranges: ranges, piece: 1000, pause: time.Millisecond}
			src, err := pipes(t, Options{}, s.answer).Open(t.Context(), sources.Ref{URL: "http://example.com/"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			r, err := src.Stream(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var got bytes.Buffer
			for err == nil {
				time.Sleep(time.Hour)
				_, err = io.CopyN(&got, r, 10_000)
			}
			if err != io.EOF || got.Len() != 100_000 {
				t.Errorf("%d bytes, %v", got.Len(), err)
			}
		})
	}
}

// TestSlowHeaders shows how long a server may take to answer at all.
func TestSlowHeaders(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(c net.Conn, r *http.Request) bool
		o      Options
		want   errcode.Code
		most   time.Duration
	}{
		"just in time": {func(c net.Conn, _ *http.Request) bool {
			time.Sleep(30*time.Second - 1)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return true
		}, Options{}, "", 30 * time.Second},
		"just too late": {func(c net.Conn, _ *http.Request) bool {
			time.Sleep(30*time.Second + 1)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return true
		}, Options{Retries: -1}, errcode.SourceUnreachable, 30 * time.Second},
		"never": {func(c net.Conn, _ *http.Request) bool {
			io.Copy(io.Discard, c)
			return false
		}, Options{}, errcode.SourceUnreachable, 5*30*time.Second + 4*time.Second},
		"a byte every ten seconds": {func(c net.Conn, _ *http.Request) bool {
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") {
				time.Sleep(10 * time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return false
				}
			}
			return true
		}, Options{Retries: -1}, errcode.SourceUnreachable, 30 * time.Second},
		"hints for ever": {func(c net.Conn, _ *http.Request) bool {
			for {
				time.Sleep(10 * time.Second)
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
					return false
				}
			}
		}, Options{Retries: -1}, errcode.SourceUnreachable, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				d := pipes(t, tt.o, tt.answer)
				_, err := d.Open(t.Context(), sources.Ref{URL: "http://example.com/"}, nil)
				wantCode(t, "Open", err, tt.want)
				if took := time.Since(start); took > tt.most {
					t.Errorf("it took %v, want at most %v", took, tt.most)
				}
			})
		})
	}
}

// TestSlowConnections has name servers and TLS servers that take the question
// and say nothing.
func TestSlowConnections(t *testing.T) {
	mute := func() net.Conn {
		a, b := net.Pipe()
		go io.Copy(io.Discard, b)
		return a
	}
	for _, o := range []Options{{Retries: -1}, {Retries: -1, ConnectTimeout: 3 * time.Second}} {
		for name, set := range map[string]func(*Driver){
			"name": func(d *Driver) {
				d.c.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return mute(), nil }}
			},
			"TLS": func(d *Driver) {
				d.c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return mute(), nil }
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				d := New(o)
				set(d)
				defer time.Sleep(time.Minute) // the lookup itself outlives its caller
				start := time.Now()
				_, err := d.Open(t.Context(), sources.Ref{URL: "https://silent.test/"}, nil)
				wantCode(t, name, err, errcode.SourceUnreachable)
				if took := time.Since(start); took != o.withDefaults().ConnectTimeout {
					t.Errorf("%s: it took %v, want %v", name, took, o.withDefaults().ConnectTimeout)
				}
			})
		}
	}
}

// TestMeter has the exact border, and waits beside each other.
func TestMeter(t *testing.T) {
	type wait struct {
		d    time.Duration
		n    int
		want bool
	}
	for name, waits := range map[string][]wait{
		"at the minimum":                      {{30 * time.Second, 30_000, true}, {30 * time.Second, 30_000, true}, {60 * time.Second, 60_000, true}},
		"below":                               {{30 * time.Second, 30_000, true}, {30 * time.Second, 29_999, false}},
		"each window counts":                  {{60 * time.Second, 1_000_000, true}, {59 * time.Second, 1, true}, {time.Second, 10, false}},
		"slow at the begin":                   {{59 * time.Second, 1, true}, {time.Second, 60_000, true}},
		"one long wait":                       {{100 * time.Second, 90_000, false}},
		"quick":                               {{0, 1, true}, {0, 1, true}},
		"a header judges nothing, and counts": {{70 * time.Second, 0, true}, {0, 69_999, false}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &meter{min: 1000, window: time.Minute}
			for i, w := range waits {
				time.Sleep(time.Hour) // nobody waits for the server
				m.begin()
				time.Sleep(w.d)
				if got := m.end(w.n, true); got != w.want {
					t.Errorf("%s: wait %d = %v, want %v", name, i, got, w.want)
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		m := &meter{min: 1000, window: time.Minute}
		m.begin()
		time.Sleep(20 * time.Second)
		m.begin()
		time.Sleep(20 * time.Second)
		if !m.end(1, true) || m.spent != 40*time.Second {
			t.Errorf("spent = %v, want the 40s that one or two waited", m.spent)
		}
		time.Sleep(19 * time.Second)
		if !m.end(1, true) || m.spent != 59*time.Second {
			t.Errorf("spent = %v, want 59s", m.spent)
		}
		m.begin()
		time.Sleep(time.Hour)
		if !m.end(0, false) || m.spent != 59*time.Second {
			t.Errorf("spent = %v, want 59s: what did not come about does not count", m.spent)
		}
		m.begin()
		time.Sleep(time.Second)
		if m.end(59_997, true) {
			t.Error("59,999 bytes in 60 s are taken for 1,000 a second")
		}
		off := &meter{min: -1, window: time.Minute}
		off.begin()
		time.Sleep(time.Hour)
		if !off.end(1, true) || !(*meter)(nil).end(0, true) {
			t.Error("a meter without a minimum complains")
		}
	})
}
