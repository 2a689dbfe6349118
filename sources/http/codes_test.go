package http

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/file"
	"ingest/sources/sourcetest"
)

// canary stands in what hostile servers say. It must not come through to the
// tenant.
const canary = "inner-secret-4711"

// fetch opens a URL and reads it once.
func fetch(t *testing.T, d sources.Driver, url string) error {
	s, err := d.Open(t.Context(), sources.Ref{URL: url}, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = readStream(t, s, 0)
	return err
}

// answered fetches from a server that says the text to each request.
func answered(text string) func(*testing.T) error {
	return func(t *testing.T) error {
		o := only127001()
		o.MaxBytes = 1000
		return fetch(t, New(o), raw(t, always(text)))
	}
}

// behaviours has for each code of sources what yields exactly it.
var behaviours = map[errcode.Code]func(t *testing.T) error{
	errcode.SourceScheme: func(t *testing.T) error { return fetch(t, New(Options{}), "gopher://"+canary+"/") },
	errcode.SourceURLInvalid: func(t *testing.T) error {
		return fetch(t, New(Options{}), "http://user:"+canary+"@127.0.0.1/")
	},
	errcode.SourceAddrBlocked: func(t *testing.T) error {
		d := New(only127001())
		names(func(string, int) []netip.Addr { return addrs("127.0.0.2") }).use(d)
		return fetch(t, d, "http://inner.test/")
	},
	errcode.SourceRedirect:       answered("HTTP/1.1 302 Found\r\nLocation: /" + canary + "\r\nContent-Length: 0\r\n\r\n"),
	errcode.SourceUnreachable:    answered("HTTP/1.1 418 " + canary + "\r\nContent-Length: 17\r\n\r\n" + canary),
	errcode.SourceNotFound:       answered("HTTP/1.1 404 " + canary + "\r\nContent-Length: 17\r\n\r\n" + canary),
	errcode.SourceAuth:           answered("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=" + canary + "\r\nContent-Length: 17\r\n\r\n" + canary),
	errcode.SourceTooLarge:       answered("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + canary),
	errcode.SourceLengthMismatch: answered("HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + canary),
	errcode.SourceEncoding:       answered("HTTP/1.1 200 OK\r\nContent-Encoding: x-" + canary + "\r\nContent-Length: 17\r\n\r\n" + canary),
	errcode.SourceChanged: func(t *testing.T) error {
		var n atomic.Int32
		return fetch(t, New(testOptions()), raw(t, func(c net.Conn, r *http.Request) bool {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nETag: \"%d\"\r\nContent-Length: 17\r\n\r\n%s", n.Add(1), canary)
			return false
		}))
	},
	errcode.SourceTooSlow: func(t *testing.T) (err error) {
		synctest.Test(t, func(t *testing.T) {
			err = fetch(t, pipes(t, Options{}, func(c net.Conn, r *http.Request) bool {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"+canary)
				io.Copy(io.Discard, c)
				return false
			}), "http://example.com/")
		})
		return err
	},
	// The other driver's, so that the list is whole.
	errcode.SourceNotRegular: func(t *testing.T) error {
		dir := t.TempDir()
		return fetch(t, file.New([]string{dir}), dir)
	},
	errcode.SourceOutsideRoots: func(t *testing.T) error {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, []byte(canary), 0o600); err != nil {
			t.Fatal(err)
		}
		return fetch(t, file.New([]string{t.TempDir()}), name)
	},
}

// others are codes of the API, of sources that stand in a catalogue, and of schedules.
var others = []errcode.Code{errcode.SourceUnversioned, errcode.SourceURLSecret, errcode.SourceAmbiguous, errcode.SourceNotReady, errcode.SourceDeactivated, errcode.SourceDescription}

// TestEveryCode shows that each code of a source has a behaviour that yields
// exactly it, and that nothing of what a server says is told with it.
func TestEveryCode(t *testing.T) {
	n := 0
	for _, d := range errcode.All() {
		if !strings.HasPrefix(string(d.Code), "IMG_SOURCE_") || slices.Contains(others, d.Code) {
			continue
		}
		n++
		t.Run(string(d.Code), func(t *testing.T) {
			behave := behaviours[d.Code]
			if behave == nil {
				t.Fatal("no behaviour yields this code")
			}
			err := behave(t)
			wantCode(t, "fetch", err, d.Code)
			e, ok := errcode.As(err)
			if !ok {
				return
			}
			evidence, _ := json.Marshal(e.Evidence)
			if told := e.Error() + string(evidence); strings.Contains(told, canary) || strings.Contains(told, "127.0.0.") {
				t.Errorf("the tenant is told %s", told)
			}
		})
	}
	if n != len(behaviours) {
		t.Errorf("%d behaviours for %d codes", len(behaviours), n)
	}
}

// TestChanges has each way in which a source can change between two answers.
func TestChanges(t *testing.T) {
	const (
		day1, day2 = "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:21 GMT"
		n          = 5000
	)
	part := func(field, value string, first, last, total int) string {
		return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\n%s: %s\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n", field, value, first, last, total, last-first+1)
	}
	full := func(field, value string, total int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", field, value, total)
	}
	content := string(sourcetest.Content(n+1, 21))
	for name, tt := range map[string]struct{ first, later string }{
		"ETag":                           {part("ETag", `"1"`, 0, 0, n), part("ETag", `"2"`, 0, n-1, n)},
		"ETag in case":                   {part("ETag", `"a"`, 0, 0, n), part("ETag", `"A"`, 0, n-1, n)},
		"ETag made weak":                 {part("ETag", `"1"`, 0, 0, n), part("ETag", `W/"1"`, 0, n-1, n)},
		"length, with the same ETag":     {part("ETag", `"1"`, 0, 0, n), part("ETag", `"1"`, 0, n-1, n+1)},
		"date":                           {part("Last-Modified", day1, 0, 0, n), part("Last-Modified", day2, 0, n-1, n)},
		"length, with the same date":     {part("Last-Modified", day1, 0, 0, n), part("Last-Modified", day1, 0, n-1, n-1)},
		"whole, as the condition failed": {part("ETag", `"1"`, 0, 0, n), full("ETag", `"2"`, n)},
		"ETag without ranges":            {full("ETag", `"1"`, n), full("ETag", `"2"`, n)},
		"date without ranges":            {full("Last-Modified", day1, n), full("Last-Modified", day2, n)},
		"length without ranges":          {full("X", "y", n), full("X", "y", n+1)},
		"ETag that is an attack":         {part("ETag", `"1"`, 0, 0, n), part("ETag", "\"\x80\xff"+strings.Repeat("x", 9000)+`"`, 0, n-1, n)},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			url := raw(t, func(c net.Conn, _ *http.Request) bool {
				if asked.Add(1) == 1 {
					io.WriteString(c, tt.first+content[:1])
				} else {
					io.WriteString(c, tt.later+content)
				}
				return false
			})
			s := open(t, testOptions(), url)
			got, err := readStream(t, s, 0)
			wantCode(t, "stream", err, errcode.SourceChanged)
			if len(got) > 0 {
				t.Errorf("%d bytes of another version came through", len(got))
			}
			e, ok := errcode.As(err)
			if !ok || e.Evidence == nil {
				t.Fatalf("error without evidence: %v", err)
			}
			for _, v := range []string{e.Evidence.Value, e.Evidence.Limit} {
				if len(v) > 110 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("evidence is %q", v)
				}
			}
		})
	}
}

// TestLogDetail shows that the chain of causes, which goes to the operator's
// log, has what the message leaves out.
func TestLogDetail(t *testing.T) {
	o := only127001()
	o.Retries = -1
	d := New(o)
	names(func(name string, _ int) []netip.Addr {
		return map[string][]netip.Addr{"inner.test": addrs("127.0.0.2"), "closed.test": addrs("127.0.0.1"), "nat.test": addrs("64:ff9b::a00:1")}[name]
	}).use(d)
	loose := New(Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96")}, Retries: -1})
	loose.c.dialer.Resolver = d.c.dialer.Resolver
	for _, tt := range []struct {
		d      *Driver
		url    string
		want   errcode.Code
		detail []string
	}{
		{d, "http://inner.test/", errcode.SourceAddrBlocked, []string{"127.0.0.2", "127.0.0.0/8"}},
		{d, "http://closed.test:1/", errcode.SourceUnreachable, []string{"127.0.0.1:1", "refused"}},
		{d, "http://missing.test/", errcode.SourceUnreachable, []string{"missing.test", "no such host"}},
		{loose, "http://nat.test/", errcode.SourceAddrBlocked, []string{"64:ff9b::a00:1", "10.0.0.1", "10.0.0.0/8"}},
		{d, raw(t, always("HTTP/1.1 418 teapot\r\n\r\n")), errcode.SourceUnreachable, []string{"418 teapot"}},
	} {
		_, err := tt.d.Open(t.Context(), sources.Ref{URL: tt.url}, nil)
		wantCode(t, tt.url, err, tt.want)
		chain := causes(err)
		for _, want := range tt.detail {
			if !strings.Contains(chain, want) {
				t.Errorf("%s: the causes %q lack %q", tt.url, chain, want)
			}
			if strings.Contains(err.Error(), want) {
				t.Errorf("%s: the message tells %q: %v", tt.url, want, err)
			}
		}
	}
}
