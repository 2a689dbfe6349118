package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestDownload(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	path := "/v2/images/" + s.ImageID + "/file"
	if a := b.do("GET", path, "").want(t, 204, ""); len(a.body) != 0 {
		t.Errorf("a queued image has bytes: %q", a.body)
	}
	b.finish(s, []byte("0123456789"))
	for _, c := range []struct {
		name, header string
		status       int
		body, rng    string
		code         errcode.Code
	}{
		{"whole", "", 200, "0123456789", "", ""},
		{"middle", "bytes=2-4", 206, "234", "bytes 2-4/10", ""},
		{"one byte", "bytes=0-0", 206, "0", "bytes 0-0/10", ""},
		{"open end", "bytes=7-", 206, "789", "bytes 7-9/10", ""},
		{"beyond the end", "bytes=8-99", 206, "89", "bytes 8-9/10", ""},
		{"far beyond the end", "bytes=8-99999999999999999999999", 206, "89", "bytes 8-9/10", ""},
		{"last three", "bytes=-3", 206, "789", "bytes 7-9/10", ""},
		{"last of more", "bytes=-50", 206, "0123456789", "bytes 0-9/10", ""},
		{"behind the end", "bytes=10-", 416, "", "bytes */10", errcode.RangeInvalid},
		{"far behind the end", "bytes=99999999999999999999999-", 416, "", "bytes */10", errcode.RangeInvalid},
		{"last none", "bytes=-0", 416, "", "bytes */10", errcode.RangeInvalid},
		{"two ranges", "bytes=0-1,3-4", 400, "", "", errcode.BadRequest},
		{"backwards", "bytes=4-2", 416, "", "bytes */10", errcode.RangeInvalid},
		{"signed", "bytes=+1-2", 416, "", "bytes */10", errcode.RangeInvalid},
		{"nothing", "bytes=-", 416, "", "bytes */10", errcode.RangeInvalid},
		{"no dash", "bytes=5", 416, "", "bytes */10", errcode.RangeInvalid},
		{"other unit", "sectors=0-1", 416, "", "bytes */10", errcode.RangeInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.do("GET", path, "", "Range", c.header).want(t, c.status, c.code)
			if got := a.Header.Get("Content-Range"); got != c.rng {
				t.Errorf("Content-Range %q, want %q", got, c.rng)
			}
			if c.code != "" {
				return
			}
			if string(a.body) != c.body || a.ContentLength != int64(len(c.body)) {
				t.Errorf("got %q of length %d, want %q", a.body, a.ContentLength, c.body)
			}
			if a.Header.Get("ETag") != `"sha512-abc123"` || a.Header.Get("Accept-Ranges") != "bytes" || a.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
	t.Run("conditions", func(t *testing.T) {
		b.do("GET", path, "", "If-None-Match", `"x", "sha512-abc123"`).want(t, 304, "")
		b.do("GET", path, "", "If-None-Match", `"x"`).want(t, 200, "")
		b.do("GET", path, "", "Range", "bytes=2-4", "If-Range", `"sha512-abc123"`).want(t, 206, "")
		b.do("GET", path, "", "Range", "bytes=2-4", "If-Range", `"old"`).want(t, 200, "")
		if a := b.do("GET", path, "", "Content-Range", "bytes 2-4/*").want(t, 206, ""); string(a.body) != "234" {
			t.Errorf("Glance's old header: got %q", a.body)
		}
		if a := b.do("HEAD", path, "").want(t, 200, ""); a.ContentLength != 10 || len(a.body) != 0 {
			t.Errorf("HEAD: length %d, body %q", a.ContentLength, a.body)
		}
	})
	t.Run("deactivated", func(t *testing.T) {
		if _, err := b.cat.UpdateImage(context.Background(), s.ImageID, func(m *metadata.Image) error {
			m.Status = metadata.ImageDeactivated
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		b.do("GET", path, "").want(t, 403, errcode.Forbidden)
	})
	b.do("GET", "/v2/images/nothing/file", "").want(t, 404, errcode.NotFound)
}

// TestBrokenDownload makes sure that a client sees that bytes are missing.
func TestBrokenDownload(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	b.finish(s, []byte(strings.Repeat("x", 1<<20)))
	b.blobs.cut = 1 << 19
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/v2/images/" + s.ImageID + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d of %d bytes look whole", n, 1<<20)
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=9999999999999999999-", "bytes = 1-2", "=", "bytes=--1"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, spec string, size int64) {
		if size < 0 {
			return
		}
		r, err := parseRange(spec, size)
		if (r == nil) == (err == nil) {
			t.Fatalf("got %v and %v", r, err)
		}
		if r != nil && (r.off < 0 || r.n <= 0 || r.off > size-r.n) {
			t.Fatalf("%q of %d: %+v lies outside", spec, size, *r)
		}
	})
}
