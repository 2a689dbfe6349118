package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

func TestNew(t *testing.T) {
	for _, c := range []struct{ base, want string }{
		{"", DefaultServer},
		{"localhost:9000", "http://localhost:9000"},
		{"https://images.example/ingest/", "https://images.example/ingest"},
		{"ftp://h", ""}, {"http://", ""}, {"http://h/?q=1", ""}, {"http://u:p@h", ""}, {"http://h:%zz", ""},
	} {
		got, err := New(c.base, "")
		if c.want == "" {
			if errcode.Of(err) != errcode.BadRequest {
				t.Errorf("%q: got %v", c.base, err)
			}
			continue
		}
		if err != nil || got.Server() != c.want {
			t.Errorf("%q: got %v, %v", c.base, got, err)
		}
	}
}

// serve returns a client of a server, below a path of it if one is given.
func serve(t *testing.T, h http.HandlerFunc, path ...string) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL+strings.Join(path, ""), "red")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		want       errcode.Code
		text       string
	}{
		{"the server's", `{"message":"no","error":{"code":"IMG_EMPTY","message":"no bytes","evidence":{"field":"size"},"remedy":"x"}}`, 422, errcode.Empty, "no bytes"},
		{"a code of a later server", `{"error":{"code":"IMG_LATER","message":"later"}}`, 422, "IMG_LATER", "later"},
		{"a proxy's", `<html>bad gateway</html>`, 502, errcode.ServerUnreachable, "bad gateway"},
		{"Glance's", `{"message":"no","code":"404 Not Found"}`, 404, errcode.NotFound, "no"},
		{"not JSON", `<html>`, 200, errcode.Internal, "no image service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Project-Id") != "red" {
					t.Error("the project is not told")
				}
				if strings.HasPrefix(c.body, "<") {
					w.Header().Set("Content-Type", "text/html")
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := cl.Task(context.Background(), "x/y")
			if errcode.Of(err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
			if e, ok := errcode.As(err); ok && c.want == errcode.Empty && (e.Evidence == nil || e.Evidence.Field != "size" || e.Remedy() == "") {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close() // its port refuses connections
	c, err := New(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Healthy(context.Background())
	e, ok := errcode.As(err)
	if !ok || e.Code != errcode.ServerUnreachable || !strings.Contains(e.Message, srv.URL) || !strings.Contains(e.Remedy(), "ingest serve") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Healthy(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call returns %v", err)
	}
}

func TestPages(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("marker") {
		case "":
			fmt.Fprint(w, `{"images":[{"id":"1"},{"id":"2"}],"next":"/v2/images?marker=2"}`)
		case "2":
			fmt.Fprint(w, `{"images":[{"id":"3"}],"next":"/v2/images?marker=3"}`)
		case "3": // a server that sends its clients elsewhere, or in circles
			fmt.Fprint(w, `{"images":[{"id":"4"}],"next":"@evil.example/v2/images"}`)
		}
	})
	for limit, want := range map[int]int{0: 4, 1: 1, 3: 3, 9: 4} {
		got, err := c.Images(context.Background(), url.Values{}, limit)
		if err != nil || len(got) != want {
			t.Errorf("limit %d: got %d images, %v", limit, len(got), err)
		}
	}
}

func TestDownload(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "empty"):
			w.WriteHeader(http.StatusNoContent)
		case r.Header.Get("Range") == "bytes=3-" && !strings.Contains(r.URL.Path, "whole"):
			w.Header().Set("Content-Range", "bytes 3-4/5")
			w.Header().Set("ETag", `"e"`)
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "34")
		default:
			fmt.Fprint(w, "01234")
		}
	})
	for off, want := range map[int64]string{0: "01234", 3: "34"} {
		body, err := c.Download(context.Background(), wire.Image{ID: "i"}, off, "")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(got) != want {
			t.Errorf("from %d: got %q, %v", off, got, err)
		}
	}
	if _, err := c.Download(context.Background(), wire.Image{ID: "empty", Status: "queued"}, 0, ""); errcode.Of(err) != errcode.Conflict {
		t.Errorf("an image without bytes: %v", err)
	}
	if body, err := c.Download(context.Background(), wire.Image{ID: "whole"}, 3, ""); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(body); err != nil || string(got) != "34" {
		t.Errorf("the end of what is sent whole: %q, %v", got, err)
	}
	if _, err := c.Download(context.Background(), wire.Image{ID: "i"}, 3, `"other"`); errcode.Of(err) != errcode.VerifyMismatch {
		t.Errorf("another ETag: %v", err)
	}
	wrong := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-4/5")
		w.WriteHeader(http.StatusPartialContent)
		fmt.Fprint(w, "01234")
	})
	if _, err := wrong.Download(context.Background(), wire.Image{ID: "i"}, 3, ""); err == nil {
		t.Error("another range was taken for the one that was asked for")
	}
}
