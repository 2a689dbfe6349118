package apidiff

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// speaking is a service that says the same to every request, with its own URL in it.
func speaking(t *testing.T, status int, header, body string) *Service {
	t.Helper()
	var url string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if header != "" {
			w.Header().Set("Location", url+header)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, strings.NewReplacer("PATH", r.URL.RequestURI(), "URL", url).Replace(body))
	}))
	t.Cleanup(server.Close)
	url = server.URL
	return &Service{Name: "a service", URL: url}
}

func TestReplay(t *testing.T) {
	const id, other = "11111111-2222-3333-4444-555555555555", "99999999-8888-7777-6666-555555555555"
	tests := []struct {
		name        string
		left, right string
		leftStatus  int
		rightStatus int
		want        string // places that differ
	}{
		{"equal", `{"a":[1,null]}`, `{"a":[1,null]}`, 200, 200, ""},
		{"ids, times and hosts", `{"id":"` + id + `","at":"2026-01-02T03:04:05Z","u":"URL/x/` + id + `?a=1&b=2"}`,
			`{"u":"/x/` + other + `?b=2&a=1","at":"2027-01-02T03:04:05Z","id":"` + other + `"}`, 200, 200, ""},
		{"value", `{"a":{"b":1}}`, `{"a":{"b":2}}`, 200, 200, "$.a.b"},
		{"type", `{"a":1}`, `{"a":"1"}`, 200, 200, "$.a"},
		{"null and nothing", `{"a":null}`, `{}`, 200, 200, "$ $.a"},
		{"longer list", `[1]`, `[1,2]`, 200, 200, "$[1]"},
		{"empty list", `{"a":[]}`, `{"a":{}}`, 200, 200, "$.a"},
		{"status", `{}`, `{}`, 200, 201, "status"},
		{"words of a refusal", `{"message":"no","code":"400 Bad Request"}`, `{"message":"never","code":"400 Bad Request","error":{"code":"X"}}`, 400, 400, ""},
		{"refusal without words", `{"message":"no"}`, `{"message":""}`, 400, 400, "$.message"},
		{"words of an answer", `{"message":"no"}`, `{"message":"never"}`, 200, 200, "$.message"},
		{"no JSON", `<html>`, `{}`, 200, 200, "$"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rep, err := Replay(speaking(t, tt.leftStatus, "/x/"+id, tt.left), speaking(t, tt.rightStatus, "/x/"+other, tt.right),
				[]Request{{Method: "GET", Path: "/"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range rep.Unexpected {
				got = append(got, d.What)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("differences %q, want %q: %v", got, tt.want, rep)
			}
		})
	}
}

func TestIntended(t *testing.T) {
	rep, err := Replay(speaking(t, 200, "", `{"a":1,"b":{"c":2}}`), speaking(t, 200, "", `{"a":2,"b":{"c":3}}`), []Request{{Method: "GET", Path: "/x"}},
		[]Intended{{"GET /*", "$.*.c", "because"}, {"GET /y", "status", "never seen"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected) != 1 || rep.Unexpected[0].What != "$.a" || rep.Expected != 1 || len(rep.Unseen) != 1 || rep.Unseen[0].Request != "GET /y" {
		t.Errorf("%+v", rep)
	}
	if text := rep.String(); !strings.Contains(text, "GET /x: $.a: 2, not 1") || !strings.Contains(text, "GET /y: status: was meant to differ (never seen)") {
		t.Errorf("the report says %s", text)
	}
}

// TestSaved uses each service's own id.
func TestSaved(t *testing.T) {
	left, right := speaking(t, 200, "", `{"id":"l","path":"PATH"}`), speaking(t, 200, "", `{"id":"r","path":"PATH"}`)
	rep, err := Replay(left, right, []Request{{Method: "GET", Path: "/", Save: "one"}, {Method: "GET", Path: "/${one}"}}, []Intended{{"*", "$.id", "they choose"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected) != 1 || rep.Unexpected[0].Left != `"/l"` || rep.Unexpected[0].Right != `"/r"` {
		t.Errorf("%v", rep)
	}
}

func TestLike(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"*", "", true}, {"a*c*e", "abcde", true},
		{"a*c*e", "abde", false}, {"*a*a", "a", false}, {"b*", "ab", false},
	} {
		if like(tt.pattern, tt.text) != tt.want {
			t.Errorf("%q of %q", tt.text, tt.pattern)
		}
	}
}
