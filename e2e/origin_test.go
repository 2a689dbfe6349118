package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An origin is a web server of one image.
type origin struct {
	*httptest.Server
	file   *os.File
	size   int64
	ranges bool // serves ranges of a known version

	rate atomic.Int64 // bytes a second of all answers together; 0 means any
	slow atomic.Int64 // bytes behind which they go out at the rate of a trickle; 0 means never
	sent atomic.Int64 // bytes

	mu   sync.Mutex
	next time.Time // when the next bytes may go out
}

// serveFile serves the file at rate bytes a second.
func serveFile(t testing.TB, path string, ranges bool, rate int64) *origin {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{file: f, size: st.Size(), ranges: ranges}
	o.rate.Store(rate)
	o.Server = httptest.NewServer(o)
	o.Server.URL += "/" + filepath.Base(path)
	t.Cleanup(func() {
		o.rate.Store(0)
		o.CloseClientConnections()
		o.Close()
		f.Close()
	})
	return o
}

// trickle is the rate, bytes a second, at which the end of a file is far away.
const trickle = mib / 2

// slowBehind lets only a trickle out behind the first n bytes, as long as there is a
// rate: whoever waits for a moment in the middle of an import does not come too late,
// however busy the machine is.
func (o *origin) slowBehind(n int64) *origin {
	o.slow.Store(n)
	return o
}

// ServeHTTP serves the file, in ranges or only as a whole.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := &paced{o: o, ctx: r.Context(), SectionReader: io.NewSectionReader(o.file, 0, o.size)}
	if o.ranges {
		w.Header().Set("ETag", `"the-one-version"`)
		http.ServeContent(w, r, "", time.Time{}, body)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, body)
	}
}

// paced reads from the file no faster than the origin's rate.
type paced struct {
	*io.SectionReader
	o   *origin
	ctx context.Context
}

// piece is what goes out at a time, bytes.
const piece = 16 << 10

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.SectionReader.Read(b[:min(len(b), piece)])
	p.o.sent.Add(int64(n))
	return n, p.wait(n, err)
}

// WriteTo hides the SectionReader's.
func (p *paced) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{p})
}

func (p *paced) wait(n int, err error) error {
	rate := p.o.rate.Load()
	if rate == 0 {
		return err
	}
	if slow := p.o.slow.Load(); slow > 0 && p.o.sent.Load() > slow {
		rate = min(rate, trickle)
	}
	p.o.mu.Lock()
	now := time.Now()
	if p.o.next.Before(now) {
		p.o.next = now
	}
	p.o.next = p.o.next.Add(time.Duration(int64(n) * int64(time.Second) / rate))
	d := p.o.next.Sub(now)
	p.o.mu.Unlock()
	select {
	case <-time.After(d):
		return err
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}
