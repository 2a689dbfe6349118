package glance

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/internal/glancetest"
	"ingest/sources"
	httpsource "ingest/sources/http"
	"ingest/sources/sourcetest"
)

func newServer(tb testing.TB, h http.Handler) string {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return srv.URL
}

func open(tb testing.TB, d *Driver, ref sources.Ref, pin *sources.Pin) sources.Source {
	tb.Helper()
	s, err := d.Open(tb.Context(), ref, pin)
	if err != nil {
		tb.Fatalf("Open %s: %v (%v)", ref.URL, err, errors.Unwrap(err))
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func wantCode(tb testing.TB, what string, err error, want errcode.Code) {
	tb.Helper()
	if errcode.Of(err) != want {
		tb.Errorf("%s: %v (%v), want %q", what, err, errors.Unwrap(err), want)
	}
}

// A service whose store gives images as a whole only is read as a stream.
func testWithoutRanges(t *testing.T, g *glancetest.Glance) {
	content := sourcetest.Content(1<<20, 7)
	id := g.Put(t, fresh(), content, nil)
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		w := newWeb(t, g.Endpoint)
		before := func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" && status != http.StatusOK {
				rw.WriteHeader(status)
				return false
			}
			r.Header.Del("Range")
			return true
		}
		w.before.Store(&before)
		ref := sources.Ref{URL: urlOf(w.host, id)}
		s := open(t, New(httpsource.New(loopback()), nil), ref, nil)
		if p := s.Pin(); p.Random || p.Size != int64(len(content)) {
			t.Errorf("status %d: Pin = %+v", status, p)
		}
		r, err := s.Stream(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if r.Close(); err != nil || !bytes.Equal(got, content) {
			t.Errorf("status %d: %d bytes, %v", status, len(got), err)
		}
		_, err = s.ReaderAt(t.Context())
		wantCode(t, "ReaderAt without ranges", err, errcode.Conflict)
	}
}

// What the cloud says of an image comes with it; what is its own does not.
func testRecord(t *testing.T, g *glancetest.Glance) {
	name := fresh()
	id := g.Put(t, name, []byte("content"), glancetest.Object{
		"disk_format": "qcow2", "container_format": "bare", "min_disk": 3, "min_ram": 512, "os_hidden": true, "protected": false,
		"tags": []string{"blue"}, "visibility": "shared", "hw_disk_bus": "scsi", "os_distro": "debian", "trait:CUSTOM_X": "required", "empty": "",
		"kernel_id": "8e5e2a7e-3f5d-4d3c-9b5e-111111111111", "img_signature": "xxxx", "owner_specified.openstack.sha256": "bbbb", "base_image_ref": "cccc",
	})
	s := open(t, New(httpsource.New(loopback()), nil), sources.Ref{URL: urlOf(g.Host(), id)}, nil)
	got, ok := sources.AboutOf(s)
	digests := got.Digests
	got.Digests = nil
	want := sources.About{URL: g.Endpoint + "/v2/images/" + id, Name: name, DiskFormat: "qcow2", ContainerFormat: "bare", MinDisk: 3, MinRAM: 512, Hidden: true, Tags: []string{"blue"},
		Properties: map[string]string{"hw_disk_bus": "scsi", "os_distro": "debian", "trait:CUSTOM_X": "required", "empty": ""}}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("About = %+v\nwant    %+v", got, want)
	}
	if len(digests) != 2 || !strings.HasPrefix(digests[0], "sha512:") || digests[1] != "md5:9a0364b9e99bb480dd25e1f0284c8555" {
		t.Errorf("digests %q", digests)
	}
	if p := s.Pin(); p.Validator != id+" "+digests[0] || !p.Strong || p.Size != 7 {
		t.Errorf("Pin = %+v", p)
	}
	if trace, _ := sources.TraceOf(s); trace.URL != g.Endpoint+"/v2/images/"+id+"/file" || trace.Address != g.Host() {
		t.Errorf("Trace = %+v", trace)
	}
	whole := open(t, New(httpsource.New(loopback()), nil), sources.Ref{URL: urlOf(g.Host(), id), Whole: true}, nil)
	if all, _ := sources.AboutOf(whole); len(all.Properties) != 8 || all.Properties["img_signature"] != "xxxx" || all.Properties["kernel_id"] == "" {
		t.Errorf("the whole record has %v", all.Properties)
	}
	large := g.Put(t, fresh(), []byte("content"), glancetest.Object{"large": strings.Repeat("v", maxTakenBytes)})
	for what, ref := range map[string]sources.Ref{"": {URL: urlOf(g.Host(), large)}, string(errcode.SourceDescription): {URL: urlOf(g.Host(), large), Whole: true}} {
		s, err := New(httpsource.New(loopback()), nil).Open(t.Context(), ref, nil)
		if wantCode(t, "a large property", err, errcode.Code(what)); err == nil {
			s.Close()
		}
	}
	// A hidden image is found by its id alone.
	_, err := New(httpsource.New(loopback()), nil).Open(t.Context(), sources.Ref{URL: urlOf(g.Host(), name)}, nil)
	wantCode(t, "a hidden image by name", err, errcode.SourceNotFound)
}

func testRefusals(t *testing.T, g *glancetest.Glance) {
	twice, off := fresh(), g.Put(t, fresh(), []byte("x"), nil)
	one, two := g.Put(t, twice, []byte("x"), nil), g.Create(t, twice, nil)
	g.Deactivate(t, off)
	d := New(httpsource.New(loopback()), nil)
	small := loopback()
	small.MaxBytes = 6
	large := g.Put(t, fresh(), []byte("content"), nil)
	strict := loopback()
	strict.HTTPSOnly = true
	for _, tt := range []struct {
		name string
		d    *Driver
		url  string
		want errcode.Code
	}{
		{"a name of two", d, urlOf(g.Host(), twice), errcode.SourceAmbiguous},
		{"no such name", d, urlOf(g.Host(), "nothing"), errcode.SourceNotFound},
		{"no such id", d, urlOf(g.Host(), "8e5e2a7e-3f5d-4d3c-9b5e-111111111111"), errcode.SourceNotFound},
		{"queued", d, urlOf(g.Host(), two), errcode.SourceNotReady},
		{"deactivated", d, urlOf(g.Host(), off), errcode.SourceDeactivated},
		{"too large", New(httpsource.New(small), nil), urlOf(g.Host(), large), errcode.SourceTooLarge},
		{"without TLS", New(httpsource.New(strict), nil), urlOf(g.Host(), large), errcode.SourceScheme},
		{"loopback", New(httpsource.New(httpsource.Options{}), nil), urlOf(g.Host(), large), errcode.SourceAddrBlocked},
		{"no host and no credential", d, "glance:///" + large, errcode.SourceURLInvalid},
		{"nothing wrong", d, urlOf(g.Host(), large), ""},
	} {
		_, err := tt.d.Open(t.Context(), sources.Ref{URL: tt.url}, nil)
		wantCode(t, tt.name, err, tt.want)
		if e, ok := errcode.As(err); tt.want == errcode.SourceAmbiguous && (!ok || !strings.Contains(e.Message, one+" (active)") || !strings.Contains(e.Message, two+" (queued)")) {
			t.Errorf("images of the name are not listed: %v", err)
		}
	}
}

// What happens to an image while it is read is told by its own code. (Who is nobody
// may read deactivated images too: see TestCloud.)
func testChanges(t *testing.T, g *glancetest.Glance) {
	content := sourcetest.Content(1<<20, 9)
	d := New(httpsource.New(loopback()), nil)
	for _, tt := range []struct {
		name   string
		change func(id string)
		want   errcode.Code
	}{
		{"deleted", func(id string) { g.Delete(t, id) }, errcode.SourceChanged},
		{"renamed", func(id string) {
			g.Call(t, "PATCH", "/v2/images/"+id, "application/openstack-images-v2.1-json-patch", []byte(`[{"op":"replace","path":"/name","value":"other"}]`))
		}, ""},
	} {
		id := g.Put(t, fresh(), content, nil)
		ref := sources.Ref{URL: urlOf(g.Host(), id)}
		s := open(t, d, ref, nil)
		pin := s.Pin()
		tt.change(id)
		r, err := s.ReaderAt(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ReadAt(make([]byte, 10), 500_000)
		wantCode(t, tt.name+": ReadAt", err, tt.want)
		_, err = d.Open(t.Context(), ref, &pin)
		wantCode(t, tt.name+": Open with the pin", err, tt.want)
	}
	id := g.Put(t, fresh(), content, nil)
	w := newWeb(t, g.Endpoint)
	before := func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/file") {
			return true
		}
		rw.Header().Set("Content-MD5", "d41d8cd98f00b204e9800998ecf8427e")
		rw.Header().Set("Content-Range", "bytes 0-0/1048576")
		rw.WriteHeader(http.StatusPartialContent)
		return false
	}
	w.before.Store(&before)
	_, err := d.Open(t.Context(), sources.Ref{URL: urlOf(w.host, id)}, nil)
	wantCode(t, "another checksum in an answer", err, errcode.SourceChanged)
}

// No byte is read twice, and a range is what is asked for.
func testBytes(t *testing.T, g *glancetest.Glance) {
	content := sourcetest.Content(5<<20, 11)
	id := g.Put(t, fresh(), content, nil)
	w := newWeb(t, g.Endpoint)
	s := open(t, New(httpsource.New(loopback()), nil), sources.Ref{URL: urlOf(w.host, id)}, nil)
	r, err := s.Stream(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	r.Close()
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if n := w.sent.Load(); n != int64(len(content))+1 { // and the first byte, which finds out whether there are ranges
		t.Errorf("%d bytes were sent for %d", n, len(content))
	}
	at, err := s.ReaderAt(sources.WithDirect(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	before := w.sent.Load()
	p := make([]byte, 1000)
	if _, err := at.ReadAt(p, 1<<20+5); err != nil || !bytes.Equal(p, content[1<<20+5:][:1000]) || w.sent.Load()-before != 1000 {
		t.Errorf("a direct read: %v, %d bytes were sent", err, w.sent.Load()-before)
	}
}
