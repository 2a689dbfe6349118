package http

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/sources"
	"ingest/sources/sourcetest"
)

// TestTrace follows two redirects, of which each URL holds a secret.
func TestTrace(t *testing.T) {
	const token = "X-Amz-Signature=" + canary
	last := raw(t, func(c net.Conn, r *http.Request) bool {
		fmt.Fprintf(c, "HTTP/1.1 206 Partial Content\r\nETag: W/\"weak\"\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Range: bytes 0-0/7\r\nContent-Length: 1\r\n\r\nx")
		return false
	})
	first := raw(t, func(c net.Conn, r *http.Request) bool {
		to := "/b?" + token
		if strings.HasPrefix(r.URL.Path, "/b") {
			to = strings.TrimSuffix(last, "/") + "/c%2fd/disk.img?" + token
		}
		fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to)
		return false
	})
	s := open(t, testOptions(), strings.TrimSuffix(first, "/")+"/a?"+token)
	got, ok := sources.TraceOf(s)
	if !ok {
		t.Fatal("the source has no trace")
	}
	end := strings.TrimSuffix(last, "/") + "/c%2fd/disk.img"
	want := sources.Trace{
		URL: end, Redirects: []string{strings.TrimSuffix(first, "/") + "/b", end},
		Address: strings.TrimPrefix(strings.TrimSuffix(last, "/"), "http://"),
		ETag:    `W/"weak"`, LastModified: "Tue, 14 Nov 2023 22:13:20 GMT",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
}

// TestTraceOfMirrors tells every place whose bytes may be read, and none that is left
// out.
func TestTraceOfMirrors(t *testing.T) {
	content := sourcetest.Content(100_000, 33)
	a, b, gone := newWeb(t, content), newWeb(t, content), newWeb(t, content)
	gone.set(func() { gone.statuses = []int{404} })
	led := raw(t, func(c net.Conn, r *http.Request) bool {
		fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s/b?sig=%s\r\nContent-Length: 0\r\n\r\n", b.url, canary)
		return false
	})
	s, err := openMirrors(t, testOptions(), nil, gone.url+"/x", a.url+"/a?sig="+canary, strings.TrimSuffix(led, "/")+"/b?sig="+canary)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := sources.TraceOf(s)
	if want := a.url + "/a"; got.URL != want {
		t.Errorf("the first place is %s, want %s", got.URL, want)
	}
	if diff := cmp.Diff([]string{b.url + "/b"}, got.Others); diff != "" {
		t.Errorf("others (-want +got):\n%s", diff)
	}
}

// TestTraceOfHostileHeaders keeps nothing that is long or not legible.
func TestTraceOfHostileHeaders(t *testing.T) {
	for _, etag := range []string{"\"\x80\xff\"", `"` + strings.Repeat("x", maxValidator) + `"`} {
		url := raw(t, always("HTTP/1.1 200 OK\r\nETag: "+etag+"\r\nContent-Length: 1\r\n\r\nx"))
		got, _ := sources.TraceOf(open(t, testOptions(), url))
		if got.ETag != "" {
			t.Errorf("an ETag of %d bytes is kept: %.20q", len(etag), got.ETag)
		}
	}
}
