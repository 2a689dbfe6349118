package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
)

// What another image service says is told in one line, with the code of its status.
func TestErrorsOfGlance(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		status           int
		code             errcode.Code
		want             string
	}{
		{"JSON", "application/json", `{"message": "No image found with ID x<br /><br />\n\n", "code": "404 Not Found", "title": "Not Found"}`, 404, errcode.NotFound, "No image found with ID x"},
		{"HTML", "text/html; charset=UTF-8", "<html>\n <head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1>Image is &quot;protected&quot;<br /></body></html>", 403, errcode.Forbidden, `Image is "protected"`},
		{"nothing", "text/plain", "", 409, errcode.Conflict, "the server answers 409 Conflict"},
		{"a teapot", "text/plain", "", 418, errcode.Internal, ""},
		{"a list", "application/json", "[]", 413, errcode.QuotaExceeded, "the server answers 413 Request Entity Too Large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := client.Image(t.Context(), "x")
			e, ok := errcode.As(err)
			if !ok || e.Code != c.code || c.want != "" && e.Message != c.want {
				t.Errorf("got %v, want %s %q", err, c.code, c.want)
			}
		})
	}
}

// A server without ingest's routes is told by its list of versions, and its tasks are
// those of Glance.
func TestTasksOfGlance(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		task := `{"id":"t","type":"import","status":"success","image_id":"i","created_at":"2026-01-02T03:04:05.000000","expires_at":null,"input":{"x":1},"message":"Copied 3 MiB"}`
		switch {
		case strings.HasPrefix(r.URL.Path, "/image/v1/"):
			w.WriteHeader(http.StatusMultipleChoices)
			fmt.Fprint(w, `{"versions":[]}`)
		case r.URL.Path == "/image/v2/images/i/tasks":
			fmt.Fprint(w, `{"tasks":[{"id":"u","status":"failure","created_at":"2025-01-02T03:04:05Z"},`+task+`]}`)
		case r.URL.Path == "/image/v2/tasks/t":
			fmt.Fprint(w, task)
		case r.URL.Path == "/image/v2/tasks" && r.URL.Query().Get("marker") == "":
			fmt.Fprint(w, `{"tasks":[`+task+`],"next":"/image/v2/tasks?marker=t"}`)
		case r.URL.Path == "/image/v2/tasks":
			fmt.Fprint(w, `{"tasks":[`+task+`]}`)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}, "/image/v2/")
	ctx := t.Context()
	if all, err := c.Tasks(ctx, url.Values{}, 0); err != nil || len(all) != 2 || all[0].CreatedAt.Year() != 2026 {
		t.Errorf("listed %+v, %v", all, err)
	}
	if all, err := c.Tasks(ctx, url.Values{"image_id": {"i"}, "status": {"failure"}}, 0); err != nil || len(all) != 1 || all[0].ID != "u" {
		t.Errorf("of the image %+v, %v", all, err)
	}
	if got, err := c.Task(ctx, "t"); err != nil || got.ImageID != "i" || !got.Finished() {
		t.Errorf("got %+v, %v", got, err)
	}
	if id, err := c.LastTask(ctx, "i"); err != nil || id != "t" {
		t.Errorf("the last task is %q, %v", id, err)
	}
	if p, err := (ByImage{c, "i"}).Progress(ctx, "t"); err != nil || p.Status != "success" || p.Message != "Copied 3 MiB" {
		t.Errorf("progress %+v, %v", p, err)
	}
	if _, err := (ByImage{c, "i"}).Task(ctx, "other"); errcode.Of(err) != errcode.NotFound {
		t.Errorf("a task of another image: %v", err)
	}
	if _, err := c.Task(ctx, "secret"); errcode.Of(err) != errcode.Forbidden || !strings.Contains(err.Error(), "--image ID") {
		t.Errorf("a task that is shown to administrators: %v", err)
	}
	if _, err := c.Quotas(ctx); !errors.Is(err, ErrNotIngest) {
		t.Errorf("a route of ingest's own: %v", err)
	}
}

// rotating has a token that is replaced once it is refused.
type rotating struct{ asked []string }

func (r *rotating) Token(_ context.Context, refused string) (string, error) {
	r.asked = append(r.asked, refused)
	if refused != "" || len(r.asked) > 2 {
		return "second", nil
	}
	return "first", nil
}

// A token that has ended is renewed once, and the body is sent again.
func TestTokenIsRenewed(t *testing.T) {
	good := "second"
	var bodies []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(raw))
		if r.Header.Get("X-Auth-Token") != good {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"id":"i"}`)
	})
	c.UseTokens(&rotating{})
	if img, err := c.CreateImage(t.Context(), map[string]any{"name": "n"}); err != nil || img.ID != "i" {
		t.Errorf("got %+v, %v", img, err)
	}
	if len(bodies) != 2 || bodies[0] != bodies[1] || !strings.Contains(bodies[0], `"n"`) {
		t.Errorf("sent %q", bodies)
	}
	good, bodies = "neither", nil
	if _, err := c.CreateImage(t.Context(), map[string]any{}); errcode.Of(err) != errcode.Unauthenticated || len(bodies) > 2 {
		t.Errorf("after %d requests: %v", len(bodies), err)
	}
}

// A server that refuses an upload has not to be sent the bytes.
func TestUploadIsRefusedFirst(t *testing.T) {
	read := int64(0)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "no") {
			http.Error(w, "it is active", http.StatusConflict)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		if r.ContentLength >= 0 && r.Header.Get("X-Openstack-Image-Size") != fmt.Sprint(n) || r.Header.Get("X-Image-Meta-Store") != "fast" || r.Header.Get("Content-Type") != "application/octet-stream" {
			w.WriteHeader(http.StatusBadRequest)
		}
		read = n
		w.WriteHeader(http.StatusNoContent)
	})
	// A server that takes its time to say so is waited for.
	c.slow.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	const size = 3 << 20
	for _, told := range []int64{size, -1, 0} {
		body := io.LimitReader(zeros{}, max(told, 0))
		if told < 0 {
			body = io.LimitReader(zeros{}, size)
		}
		if err := c.UploadImage(t.Context(), "i", Upload{Body: body, Size: told, Store: "fast"}); err != nil {
			t.Errorf("size %d: %v", told, err)
		}
		if told > 0 && read != told {
			t.Errorf("%d of %d bytes arrived", read, told)
		}
	}
	body := &io.LimitedReader{R: zeros{}, N: size}
	if err := c.UploadImage(t.Context(), "no", Upload{Body: body, Size: size}); errcode.Of(err) != errcode.Conflict {
		t.Errorf("refused with %v", err)
	}
	if body.N != size {
		t.Errorf("%d bytes were sent all the same", size-body.N)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What is no part of a path is not made one.
func TestNamesStayInTheirPlace(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/v2/images/i/tags/a%2Fb" {
			t.Errorf("asked for %s", r.URL.EscapedPath())
		}
	})
	for _, tag := range []string{"", ".", ".."} {
		if err := c.AddTag(t.Context(), "i", tag); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%q: %v", tag, err)
		}
	}
	if err := c.AddTag(t.Context(), "i", "a/b"); err != nil {
		t.Error(err)
	}
}
