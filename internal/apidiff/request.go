package apidiff

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Caller is on whose behalf a request is made. Both services believe what it says.
type Caller struct {
	Project, User, Roles string // Roles are joined by commas
}

// A Request is sent to both services.
type Request struct {
	// Name is what differences are known by; "" means method and path, which are then
	// unique in the list.
	Name   string
	As     Caller
	Method string
	Path   string // with query
	Body   string // JSON, unless Header says something else; "" is none
	// Header says more than what every request says; a header of "" is not sent.
	Header map[string]string
	// Chunked sends the body without its length.
	Chunked bool
	// Save keeps the "id" of each service's answer under a name: ${NAME} in the paths,
	// headers and bodies of later requests stands for it.
	Save string
	// Until repeats the request until something in the answer has a member of a value,
	// as "status=active", for as long as Patience.
	Until string
}

// Patience is how long a request is repeated.
const Patience = 20 * time.Second

// Title is what the request is called.
func (r Request) Title() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Method + " " + r.Path
}

// A Service is one that requests are sent to.
type Service struct {
	Name string
	URL  string // http://HOST:PORT
	// Client sends them; nil means http.DefaultClient. It must not follow redirections
	// if they are to be compared.
	Client *http.Client

	saved map[string]string
}

// An Answer is what a service has said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxAnswer bounds what is read of an answer, bytes.
const maxAnswer = 16 << 20

var placeholder = regexp.MustCompile(`\$\{([a-z0-9_]+)\}`)

func (s *Service) expand(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string { return s.saved[name[2:len(name)-1]] })
}

// Let makes ${NAME} stand for a value.
func (s *Service) Let(name, value string) {
	if s.saved == nil {
		s.saved = map[string]string{}
	}
	s.saved[name] = value
}

// send sends a request, as often as it is to be repeated, and keeps what is to be saved
// of the answer.
func (s *Service) send(r Request) (Answer, error) {
	for end := time.Now().Add(Patience); ; time.Sleep(100 * time.Millisecond) {
		a, err := s.once(r)
		if err != nil || r.Until == "" || a.says(r.Until) || time.Now().After(end) {
			return a, err
		}
	}
}

// says reports whether something in the answer has a member of a value: "status=active".
func (a Answer) says(what string) bool {
	name, want, _ := strings.Cut(what, "=")
	var v any
	return json.Unmarshal(a.Body, &v) == nil && has(v, name, want)
}

func has(v any, name, want string) bool {
	switch v := v.(type) {
	case map[string]any:
		for n, e := range v {
			if n == name && e == want || has(e, name, want) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return has(e, name, want) })
	}
	return false
}

func (s *Service) once(r Request) (Answer, error) {
	var body io.Reader
	if r.Body != "" {
		body = strings.NewReader(s.expand(r.Body))
	}
	if r.Chunked {
		body = io.MultiReader(body) // hides its length
	}
	req, err := http.NewRequest(r.Method, s.URL+s.expand(r.Path), body)
	if err != nil {
		return Answer{}, err
	}
	if r.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{
		"Accept": "application/json", "X-Identity-Status": "Confirmed",
		"X-Project-Id": r.As.Project, "X-User-Id": r.As.User, "X-Roles": r.As.Roles,
	} {
		req.Header.Set(name, value)
	}
	for name, value := range r.Header {
		if req.Header.Set(name, s.expand(value)); value == "" {
			req.Header.Del(name)
		}
	}
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %s: %w", s.Name, r.Title(), err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %s: %w", s.Name, r.Title(), err)
	}
	if r.Save != "" {
		s.save(r.Save, raw)
	}
	return Answer{resp.StatusCode, resp.Header, raw}, nil
}
