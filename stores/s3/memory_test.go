package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"ingest/stores"
)

// A shallow service keeps small objects, and of parts no more than how long they were.
// It says of all parts but some that it has them: an object is as large as no server
// of a test could hold. Its conditions are kept; what it is asked besides is an error.
type shallow struct {
	t       *testing.T
	missing map[int]bool // parts that it says nothing of, from 0
	lay     layout
	size    int64

	mu      sync.Mutex
	objects map[string][]byte
	etags   map[string]string
	got     map[int]int64 // bytes of each part that was sent
	peak    uint64        // of the heap while parts came in
	sampled bool
}

func (s *shallow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Has("partNumber"):
		s.part(w, r)
	case r.Method == http.MethodPost && q.Has("uploads"):
		fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		s.complete(w, r)
	case r.Method == http.MethodGet && q.Has("uploadId"):
		s.list(w, q.Get("part-number-marker"))
	case r.Method == http.MethodGet && q.Has("list-type"):
		fmt.Fprint(w, `<ListBucketResult></ListBucketResult>`)
	default:
		s.object(w, r)
	}
}

// part takes a part and looks at the heap.
func (s *shallow) part(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
	buf := make([]byte, 1<<20)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for sum := int64(0); ; {
		k, err := r.Body.Read(buf)
		sum += int64(k)
		if s.sampled {
			metrics.Read(sample)
		}
		s.mu.Lock()
		s.got[n-1] = sum
		if s.sampled {
			s.peak = max(s.peak, sample[0].Value.Uint64())
		}
		s.mu.Unlock()
		if err == io.EOF {
			w.Header().Set("ETag", `"p"`)
			return
		}
		if err != nil {
			return
		}
	}
}

// list tells of up to 1000 parts.
func (s *shallow) list(w http.ResponseWriter, marker string) {
	n, _ := strconv.Atoi(marker)
	last, _, _, _ := s.lay.at(s.size - 1)
	var b strings.Builder
	count := 0
	for ; n <= last && count < 1000; n++ {
		if !s.missing[n] {
			fmt.Fprintf(&b, `<Part><PartNumber>%d</PartNumber><ETag>"p"</ETag><Size>%d</Size></Part>`, n+1, s.lay.sizeOf(n))
			count++
		}
	}
	fmt.Fprintf(w, `<ListPartsResult><IsTruncated>%v</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker>%s</ListPartsResult>`, n <= last, n, b.String())
}

func (s *shallow) complete(w http.ResponseWriter, r *http.Request) {
	var all struct{ Part []struct{ PartNumber int } }
	if err := xml.NewDecoder(r.Body).Decode(&all); err != nil {
		s.t.Error(err)
	}
	if last, _, _, _ := s.lay.at(s.size - 1); len(all.Part) != last+1 {
		s.t.Errorf("%d parts are put together, not %d", len(all.Part), last+1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[r.URL.Path], s.etags[r.URL.Path] = nil, `"whole"`
	fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>`)
}

func (s *shallow) object(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.URL.Path
	etag, there := s.etags[path]
	switch r.Method {
	case http.MethodPut:
		if r.Header.Get("If-None-Match") == "*" && there || r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		s.objects[path], s.etags[path] = body, `"`+uuid.NewString()+`"`
		w.Header().Set("ETag", s.etags[path])
	case http.MethodGet, http.MethodHead:
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", etag)
		if s.objects[path] == nil {
			w.Header().Set("Content-Length", strconv.FormatInt(s.size, 10))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(s.objects[path])))
		if r.Method == http.MethodGet {
			_, _ = w.Write(s.objects[path])
		}
	case http.MethodDelete:
		delete(s.objects, path)
		delete(s.etags, path)
		w.WriteHeader(http.StatusNoContent)
	}
}

// TestSealOf2TiB seals an object of which five parts are not sent: some are
// zeros, of some a byte stands below parts/. The memory is that of one part, though
// two would be sent at once; it is read from the runtime while they come in.
func TestSealOf2TiB(t *testing.T) {
	const size = 2 << 40
	lay := layoutFor(size, 0)
	zero, away := []int{1500, 5000}, []int{3000, 3001}
	last, start, _, err := lay.at(size - 1)
	if err != nil {
		t.Fatal(err)
	}
	service := &shallow{t: t, lay: lay, size: size, missing: map[int]bool{last: true}, objects: map[string][]byte{}, etags: map[string]string{}, got: map[int]int64{}}
	for _, n := range append(append([]int{}, zero...), away...) {
		service.missing[n] = true
	}
	server := httptest.NewServer(service)
	defer server.Close()
	s := open(t, server.URL, Options{Bucket: "bucket"})
	u, err := s.Begin(t.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteAt(content(0, 8<<20), 0); err != nil {
		t.Fatal(err)
	}
	for _, n := range away {
		at, _ := lay.bounds(n)
		if _, err := u.WriteAt([]byte{1}, at+1000); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Checkpoint(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if u, err = s.Resume(t.Context(), u.ID()); err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	service.got, service.sampled = map[int]int64{}, true
	if err := u.Seal(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	for n := range service.missing {
		want := lay.sizeOf(n)
		if n == last {
			want = size - start
		}
		if service.got[n] != want {
			t.Errorf("%d bytes of part %d were sent, not %d", service.got[n], n, want)
		}
	}
	if len(service.got) != len(service.missing) {
		t.Errorf("%d parts were sent, not %d", len(service.got), len(service.missing))
	}
	took := int64(service.peak) - int64(before.HeapAlloc)
	t.Logf("the seal of %d parts of up to %d MiB took %d MiB", len(service.missing), lay.sizeOf(3000)>>20, took>>20)
	if most := lay.sizeOf(3000) + 64<<20; took > most {
		t.Errorf("the seal took %d bytes of memory, more than a part and a bit: %d", took, most)
	}
}

// A part that is put away again and again is sent no more than twice: what is new of it
// each time, and all of it when there are too many pieces.
func TestPartIsPutAwayOnce(t *testing.T) {
	const step, steps, most = 128 << 10, mostPieces + 6, 32 << 20
	service := &shallow{t: t, lay: even(most), objects: map[string][]byte{}, etags: map[string]string{}, got: map[int]int64{}}
	var put atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/"+partsName) {
			put.Add(r.ContentLength)
		}
		service.ServeHTTP(w, r)
	}))
	defer server.Close()
	s := open(t, server.URL, Options{Bucket: "bucket", PartSize: most})
	want := content(0, steps*step)
	u, err := s.Begin(t.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), -1)
	if err != nil {
		t.Fatal(err)
	}
	write := func(off int) {
		t.Helper()
		if _, err := u.WriteAt(want[off:off+step], int64(off)); err != nil {
			t.Fatal(err)
		}
		if err := u.Checkpoint(t.Context(), []byte("note")); err != nil {
			t.Fatal(err)
		}
	}
	again := func() {
		t.Helper()
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		if u, err = s.Resume(t.Context(), u.ID()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range steps - 2 {
		write(i * step)
	}
	if got := put.Load(); got > 2*int64(len(want)) {
		t.Errorf("%d bytes were put away of a part with %d", got, len(want))
	}
	again()
	write(len(want) - 2*step)
	again()
	write(len(want) - step)
	again()
	defer u.Close()
	if err := u.Seal(t.Context(), int64(len(want))); err != nil {
		t.Fatal(err)
	}
	if got := service.objects["/bucket/"+s.dataPath(u.ID())]; !bytes.Equal(got, want) {
		t.Errorf("%d bytes, or others than were written", len(got))
	}
}
