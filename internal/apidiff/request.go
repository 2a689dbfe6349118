package apidiff

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
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
	Header map[string]string
	// Save keeps the "id" of each service's answer under a name: ${NAME} in the paths
	// and bodies of later requests stands for it.
	Save string
}

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

// send sends a request, and keeps what is to be saved of the answer.
func (s *Service) send(r Request) (Answer, error) {
	var body io.Reader
	if r.Body != "" {
		body = strings.NewReader(s.expand(r.Body))
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
		req.Header.Set(name, s.expand(value))
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
