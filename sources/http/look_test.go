package http

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/sources"
)

func lookDriver() *Driver {
	return New(Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Retries: -1})
}

func TestLookReadsNothing(t *testing.T) {
	for _, refused := range []int{0, http.StatusMethodNotAllowed, http.StatusForbidden} {
		t.Run(fmt.Sprint(refused), func(t *testing.T) {
			sent := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead && refused != 0 {
					w.WriteHeader(refused)
					return
				}
				w.Header().Set("ETag", `W/"weak"`)
				w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
				if r.Method == http.MethodHead {
					w.Header().Set("Content-Length", "5")
					return
				}
				w.Header().Set("Content-Range", "bytes 0-0/5")
				w.WriteHeader(http.StatusPartialContent)
				n, _ := w.Write([]byte("x"))
				sent += n
			}))
			defer s.Close()
			got, err := lookDriver().Look(t.Context(), sources.Ref{URL: s.URL + "/a?secret=1"})
			want := sources.Seen{URL: s.URL + "/a", Size: 5, ETag: `W/"weak"`, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"}
			if err != nil || got != want {
				t.Errorf("seen %+v, %v", got, err)
			}
			if most := min(refused, 1); sent > most {
				t.Errorf("%d bytes were sent", sent)
			}
		})
	}
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if _, err := lookDriver().Look(t.Context(), sources.Ref{URL: s.URL + "/a"}); errcode.Of(err) != errcode.SourceNotFound {
		t.Errorf("what is not there: %v", err)
	}
}

func TestListTakesLinksToFilesOfTheFolder(t *testing.T) {
	page := `<a href="a-1.img">one</a> <A HREF='./a-2.img?C=M;O=D'>two</A> <a href="/d/a-3.img#x"/> <a href="a-%34.img">4</a> <a href="a-1.img">again</a>
		<a href="https://evil.example/d/a-9.img"> <a href="../a-8.img"> <a href="sub/a-7.img"> <a href="a-6.img/"> <a href="//evil/d/a-5.img"> <a href="javascript:a-0.img">
		<img href="a-10.img"> <a href="b-1.img"> <a href="a-\u202e.img"> <a name="a-11.img"> <a href="a-12`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/d/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, strings.ReplaceAll(page, `\u202e`, "\u202e"))
	}))
	defer s.Close()
	got, err := lookDriver().List(t.Context(), sources.Ref{URL: s.URL + "/d/a-*.img"})
	var names []string
	for _, f := range got {
		names = append(names, f.Name)
		if !strings.HasPrefix(f.URL, s.URL+"/d/a-") {
			t.Errorf("a link leads to %s", f.URL)
		}
	}
	if want := "a-1.img a-2.img a-3.img a-4.img"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("listed %q, %v", names, err)
	}
}

func TestListIsBounded(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter){
		"many files": func(w http.ResponseWriter) {
			for i := range sources.MaxListed + 1 {
				fmt.Fprintf(w, "<a href=a%d.img>", i)
			}
		},
		"a long page": func(w http.ResponseWriter) {
			for range sources.MaxIndexBytes/1024 + 2 {
				fmt.Fprint(w, strings.Repeat("<p>text</p>     ", 64))
			}
		},
		"a long tag": func(w http.ResponseWriter) { fmt.Fprint(w, `<a href="`, strings.Repeat("x", 1<<20), `">`) },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w) }))
			defer s.Close()
			got, err := lookDriver().List(t.Context(), sources.Ref{URL: s.URL + "/a*.img"})
			if errcode.Of(err) != errcode.SourceTooLarge {
				t.Errorf("%d files, %v", len(got), err)
			}
		})
	}
}
