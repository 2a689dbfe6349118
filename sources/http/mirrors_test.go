package http

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/internal/faultproxy"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

// TestDriverWithMirrors runs the suite against a source of two places, both of which
// change together.
func TestDriverWithMirrors(t *testing.T) {
	sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
		a, b := newWeb(tb, content), newWeb(tb, content)
		both := func(f func(w *web)) {
			for _, w := range []*web{a, b} {
				w.set(func() { f(w) })
			}
		}
		return sourcetest.Fixture{
			Driver:  New(testOptions()),
			Ref:     sources.Ref{URL: a.url + "/image", Mirrors: []string{b.url + "/other-name"}},
			Replace: func(content []byte) { both(func(w *web) { w.content = content }) },
			Cut:     func(n int) { both(func(w *web) { w.cut = n }) },
			Remove:  func() { both(func(w *web) { w.statuses = []int{404} }) },
			Hang:    func() { both(func(w *web) { w.hang = true }) },
		}
	})
}

// A place that was left out when the version was pinned does not come back, and its
// credential is not asked for the others.
func TestPinnedWithoutTheCredentialsPlace(t *testing.T) {
	content := sourcetest.Content(100_000, 30)
	srv, mirror := guardedSite(t, content), newWeb(t, content)
	o := testOptions()
	o.Credentials = vaultFor(t, srv.URL)
	d, ref := New(o), sources.Ref{URL: srv.URL + "/bearer", Credential: "wrong", Mirrors: []string{mirror.url + "/image"}}
	first, err := d.Open(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	pin := first.Pin()
	again, err := d.Open(t.Context(), ref, &pin)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func openMirrors(t *testing.T, o Options, pin *sources.Pin, urls ...string) (sources.Source, error) {
	t.Helper()
	s, err := New(o).Open(t.Context(), sources.Ref{URL: urls[0], Mirrors: urls[1:]}, pin)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// wantNotes compares how many places are left out, and that no note shows a URL.
func wantNotes(t *testing.T, s sources.Source, n int) {
	t.Helper()
	notes := sources.NotesOf(s)
	if len(notes) != n {
		t.Errorf("notes are %q, want %d", notes, n)
	}
	for _, note := range notes {
		if strings.Contains(note, "secret") {
			t.Errorf("the note %q shows more than a host", note)
		}
	}
}

// TestMirrorsThatAreNone has places that are left out at once.
func TestMirrorsThatAreNone(t *testing.T) {
	content := sourcetest.Content(1<<20, 31)
	for name, tt := range map[string]struct {
		bad  func(w *web)
		left int
	}{
		"equal bytes":       {func(w *web) { w.etag = `"of-its-own"` }, 0},
		"another length":    {func(w *web) { w.content = content[1:] }, 1},
		"other first bytes": {func(w *web) { w.content = append([]byte{content[0] ^ 1}, content[1:]...) }, 1},
		"other last bytes":  {func(w *web) { w.content = append(slices.Clone(content[:1<<20-1]), content[1<<20-1]^1) }, 1},
		"no ranges":         {func(w *web) { w.noRanges = true }, 1},
		"no validator":      {func(w *web) { w.etag = "" }, 1},
		"missing":           {func(w *web) { w.statuses = []int{404} }, 1},
		"forbidden":         {func(w *web) { w.statuses = []int{403} }, 1},
		"broken":            {func(w *web) { w.statuses = []int{500} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			good, bad := newWeb(t, content), newWeb(t, content)
			bad.set(func() { tt.bad(bad) })
			s, err := openMirrors(t, testOptions(), nil, good.url+"/a?secret", bad.url+"/b?secret")
			if err != nil {
				t.Fatal(err)
			}
			wantNotes(t, s, tt.left)
			got, err := readParallel(t.Context(), s, 64<<10)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			pin := s.Pin()
			again, err := openMirrors(t, testOptions(), &pin, good.url+"/a?secret", bad.url+"/b?secret")
			if err != nil || again.Pin() != pin {
				t.Errorf("open with the pin: %v", err)
			}
		})
	}
}

// TestFirstPlaceMissing reads from a mirror alone, and keeps to its version.
func TestFirstPlaceMissing(t *testing.T) {
	content := sourcetest.Content(1<<20, 32)
	gone, good := newWeb(t, content), newWeb(t, content)
	gone.set(func() { gone.statuses = []int{404} })
	s, err := openMirrors(t, testOptions(), nil, gone.url, good.url)
	if err != nil {
		t.Fatal(err)
	}
	wantNotes(t, s, 1)
	if got, err := readParallel(t.Context(), s, 100_000); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if pin := s.Pin(); pin.URL != gone.url {
		t.Errorf("the pin is of %s, want what was asked for", pin.URL)
	}
	pin := s.Pin()
	good.set(func() { good.content = sourcetest.Content(1<<20, 33) })
	_, err = openMirrors(t, testOptions(), &pin, gone.url, good.url)
	wantCode(t, "open of a mirror that has changed", err, errcode.SourceChanged)
	good.set(func() { good.statuses = []int{404} })
	_, err = openMirrors(t, testOptions(), nil, gone.url, good.url)
	wantCode(t, "open of no place", err, errcode.SourceNotFound)
}

// TestMirrorFailsInTheMiddle has one of two places die, change, hang up or refuse
// while ranges of it are read.
func TestMirrorFailsInTheMiddle(t *testing.T) {
	content := sourcetest.Content(8<<20+3, 34)
	for name, fail := range map[string]func(p *faultproxy.Proxy, w *web){
		"dies":            func(p *faultproxy.Proxy, _ *web) { p.Close() },
		"another version": func(_ *faultproxy.Proxy, w *web) { w.set(func() { w.content = sourcetest.Content(8<<20+3, 35) }) },
		"removed":         func(_ *faultproxy.Proxy, w *web) { w.set(func() { w.statuses = []int{404} }) },
		"out of order":    func(_ *faultproxy.Proxy, w *web) { w.set(func() { w.statuses = []int{500} }) },
		"cut each time":   func(_ *faultproxy.Proxy, w *web) { w.set(func() { w.cut = 1000 }) },
		"another content type": func(_ *faultproxy.Proxy, w *web) {
			w.set(func() { w.header = map[string][]string{"Content-Encoding": {"gzip"}} })
		},
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				good, bad := newWeb(t, content), newWeb(t, content)
				proxy, at := proxied(t, bad.url+"/b")
				urls := []string{at, good.url + "/a"}
				if !first {
					slices.Reverse(urls)
				}
				s, err := openMirrors(t, testOptions(), nil, urls...)
				if err != nil {
					t.Fatal(err)
				}
				wantNotes(t, s, 0)
				half, err := s.ReaderAt(sources.WithDirect(t.Context()))
				if err != nil {
					t.Fatal(err)
				}
				for off := int64(0); off < 4<<20; off += 256 << 10 {
					if _, err := half.ReadAt(make([]byte, 256<<10), off); err != nil {
						t.Fatal(err)
					}
				}
				fail(proxy, bad)
				got, err := readParallel(t.Context(), s, 256<<10)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes, %v", len(got), causes(err))
				}
				if err := s.(interface{ Check(context.Context) error }).Check(t.Context()); err != nil {
					t.Errorf("Check: %v", err)
				}
			})
		}
	}
}

func TestMirrorsAreBounded(t *testing.T) {
	w := newWeb(t, []byte("content"))
	urls := []string{w.url}
	for i := range MaxMirrors + 1 {
		if i == MaxMirrors {
			if _, err := openMirrors(t, testOptions(), nil, urls...); err != nil {
				t.Errorf("%d mirrors: %v", i, err)
			}
		}
		urls = append(urls, w.url+"/"+strings.Repeat("x", i+1))
	}
	_, err := openMirrors(t, testOptions(), nil, urls...)
	wantCode(t, "one more", err, errcode.SourceURLInvalid)
	_, err = openMirrors(t, testOptions(), nil, w.url, "ftp://example.org/")
	wantCode(t, "a mirror of another scheme", err, errcode.SourceScheme)
	pin := sources.Pin{Mirrors: "no JSON"}
	_, err = openMirrors(t, testOptions(), &pin, w.url)
	wantCode(t, "a damaged pin", err, errcode.SourceChanged)
	if _, err := json.Marshal(pin); err != nil {
		t.Error(err)
	}
}
