package api

import (
	"fmt"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestWebhooks(t *testing.T) {
	b := newBench(t)
	var made wire.Webhook
	a := b.do("POST", "/v1/webhooks", `{"url":"https://example.org/h?x=1","description":"ci"}`).want(t, 201, "")
	a.into(t, &made)
	if made.ID == "" || !made.Enabled || !strings.HasPrefix(made.Secret, "whsec_") || len(made.Secret) != 49 || strings.Join(made.Events, " ") != "task.success task.failure" {
		t.Errorf("made %+v", made)
	}
	if a.Header.Get("Location") != "/v1/webhooks/"+made.ID || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", a.Header)
	}
	b.finish(b.submit(someImport), []byte("x"))
	b.do("POST", "/v1/webhooks/"+made.ID+"/test", "").want(t, 202, "")
	shown := b.do("GET", "/v1/webhooks/"+made.ID, "").want(t, 200, "")
	var one wire.Webhook
	shown.into(t, &one)
	if len(one.Deliveries) != 2 || one.Deliveries[0].Event != metadata.WebhookTest || one.Deliveries[1].Event != metadata.TaskSucceeded || one.Deliveries[1].NextAt == nil {
		t.Errorf("deliveries %+v", one.Deliveries)
	}
	listed := b.do("GET", "/v1/webhooks", "").want(t, 200, "")
	for _, body := range [][]byte{shown.body, listed.body} {
		if strings.Contains(string(body), made.Secret) {
			t.Errorf("the secret is shown again: %s", body)
		}
	}
	b.do("POST", "/v1/webhooks/"+made.ID+"/enable", "").want(t, 200, "")
	b.do("DELETE", "/v1/webhooks/"+made.ID, "").want(t, 204, "")
	b.do("GET", "/v1/webhooks/"+made.ID, "").want(t, 404, errcode.NotFound)
}

func TestRefusedWebhooks(t *testing.T) {
	b := newBench(t)
	for _, body := range []string{
		`{}`, `{"url":""}`, `{"url":"ftp://h/"}`, `{"url":"https://"}`, `{"url":"/hook"}`, `{"url":"https://user:pw@h/"}`, `{"url":"https://h/#f"}`,
		`{"url":"https://h/` + strings.Repeat("x", 1000) + `"}`, `{"url":"https://h/","events":["task.gone"]}`, `{"url":"https://h/","secret":"short"}`,
		`{"url":"https://h/","secret":"line\nbreak-and-more-of-it"}`, `{"url":"https://h/","description":"` + strings.Repeat("é", 201) + `"}`,
		`{"url":"https://h/","owner":"x"}`, `[]`,
	} {
		b.do("POST", "/v1/webhooks", body).want(t, 400, errcode.BadRequest)
	}
	for range metadata.MaxWebhooks {
		b.do("POST", "/v1/webhooks", `{"url":"https://h/","secret":"sixteen-letters-at-least"}`).want(t, 201, "")
	}
	b.do("POST", "/v1/webhooks", `{"url":"https://h/"}`).want(t, 413, errcode.QuotaExceeded)
}

// Routes below one webhook: whose it is not, finds nothing, and who may not, is told so.
func TestWhoSeesAWebhook(t *testing.T) {
	b := newAccessBench(t)
	for _, c := range []struct {
		project, role string
		want          map[string]int
	}{
		{"red", "member", map[string]int{"GET": 200, "POST/test": 202, "POST/enable": 200, "DELETE": 204}},
		{"blue", "admin", map[string]int{"GET": 200, "POST/test": 202, "POST/enable": 200, "DELETE": 204}},
		{"red", "reader", map[string]int{"GET": 403, "POST/test": 403, "POST/enable": 403, "DELETE": 403}},
		{"red", "none", map[string]int{"GET": 403, "POST/test": 403, "POST/enable": 403, "DELETE": 403}},
		{"blue", "member", map[string]int{"GET": 404, "POST/test": 404, "POST/enable": 404, "DELETE": 404}},
		{"blue", "service", map[string]int{"GET": 404, "POST/test": 404, "POST/enable": 404, "DELETE": 404}},
	} {
		for what, want := range c.want {
			t.Run(fmt.Sprint(c.project, c.role, what), func(t *testing.T) {
				var made wire.Webhook
				b.do("POST", "/v1/webhooks", `{"url":"https://h/"}`, rolesHeader("red", "member")...).want(t, 201, "").into(t, &made)
				defer b.do("DELETE", "/v1/webhooks/"+made.ID, "", rolesHeader("red", "admin")...)
				method, tail, _ := strings.Cut(what, "/")
				if tail != "" {
					tail = "/" + tail
				}
				if got := b.do(method, "/v1/webhooks/"+made.ID+tail, "", rolesHeader(c.project, c.role)...); got.StatusCode != want {
					t.Errorf("got %d, want %d: %s", got.StatusCode, want, got.body)
				}
			})
		}
	}
}
