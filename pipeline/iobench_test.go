package pipeline

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/faultproxy"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

// linkRate is what the link of the benchmark carries: 1 Gbit/s.
const linkRate = 125_000_000

// BenchmarkIO reads a source behind a link of 125 MB/s with 0, 20 and 100 ms of
// added latency a request: staged, and in place by a sequential reader. Run by
// `make bench-io`.
func BenchmarkIO(b *testing.B) {
	content := sourcetest.Content(256<<20, 3)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer srv.Close()
	for _, way := range []struct {
		name string
		read func(b *testing.B, src sources.Source)
	}{{"staged", benchStaged}, {"in-place", benchInPlace}} {
		for _, latency := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/latency=%v", way.name, latency), func(b *testing.B) {
				proxy, err := faultproxy.Start(strings.TrimPrefix(srv.URL, "http://"), faultproxy.Shape{Latency: latency, BytesPerSecond: linkRate})
				if err != nil {
					b.Fatal(err)
				}
				defer proxy.Close()
				b.SetBytes(int64(len(content)))
				for b.Loop() {
					d := httpsource.New(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
					src, err := d.Open(b.Context(), sources.Ref{URL: "http://" + proxy.Addr() + "/disk.raw"}, nil)
					if err != nil {
						b.Fatal(err)
					}
					way.read(b, src)
					src.Close()
				}
			})
		}
	}
}

func benchStaged(b *testing.B, src sources.Source) {
	p := &Pipeline{StagingDir: b.TempDir()}
	s := p.staging(uuid.NewString())
	if _, _, err := p.stage(b.Context(), s, src, plainDigest(), 0, ignore); err != nil {
		b.Fatal(err)
	}
	if err := s.remove(); err != nil {
		b.Fatal(err)
	}
}

func benchInPlace(b *testing.B, src sources.Source) {
	r, err := src.ReaderAt(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 256<<10)
	for off := int64(0); off < src.Pin().Size; off += int64(len(buf)) {
		if _, err := r.ReadAt(buf, off); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
}
