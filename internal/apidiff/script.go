package apidiff

import (
	"fmt"
	"strings"
)

// Content types of requests.
const (
	bytesType = "application/octet-stream"
	patch21   = "application/openstack-images-v2.1-json-patch"
	patch20   = "application/openstack-images-v2.0-json-patch"
)

// A script makes requests of lines: "METHOD PATH BODY", of which the path lies below
// /v2 unless it begins with two slashes. Two more words may stand behind:
//
//	>> NAME          the id of the answer is kept as NAME
//	~~ MEMBER=VALUE  it is repeated until the answer has that
type script struct {
	out    []Request
	titles map[string]int
}

// as adds lines that a caller says, each with the same headers.
func (s *script) as(c Caller, header map[string]string, lines ...string) {
	for _, line := range lines {
		r := Request{As: c, Header: header}
		line, r.Until, _ = strings.Cut(line, " ~~ ")
		line, r.Save, _ = strings.Cut(line, " >> ")
		parts := append(strings.SplitN(line, " ", 3), "")
		r.Method, r.Path, r.Body = parts[0], "/v2"+parts[1], parts[2]
		if strings.HasPrefix(parts[1], "//") {
			r.Path = parts[1][1:]
		}
		s.add(r, fmt.Sprintf("%s %s %.150s", parts[0], parts[1], parts[2]))
	}
}

// add adds a request whose title is made its own.
func (s *script) add(r Request, title string) {
	if s.titles == nil {
		s.titles = map[string]int{}
	}
	title = strings.TrimSpace(title)
	if s.titles[title]++; s.titles[title] > 1 {
		title = fmt.Sprintf("%s #%d", title, s.titles[title])
	}
	r.Name = title
	s.out = append(s.out, r)
}

// patch adds a change of an image in a dialect.
func (s *script) patch(c Caller, kind, image string, bodies ...string) {
	for _, body := range bodies {
		r := Request{As: c, Method: "PATCH", Path: "/v2/images/${" + image + "}", Body: body, Header: map[string]string{"Content-Type": kind}}
		s.add(r, fmt.Sprintf("PATCH %s %.150s", r.Path[3:], body))
	}
}

// send adds bytes that are sent to a path below /v2/images.
func (s *script) send(c Caller, path, content string, header ...string) {
	r := Request{As: c, Method: "PUT", Path: "/v2/images/" + path, Body: content, Header: map[string]string{"Content-Type": bytesType}}
	title := "PUT /images/" + path
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = header[i+1]
		title += " " + header[i] + ": " + header[i+1]
	}
	s.add(r, title)
}

// ask adds a request with one more header.
func (s *script) ask(c Caller, method, path, name, value string) {
	s.add(Request{As: c, Method: method, Path: "/v2" + path, Header: map[string]string{name: value}}, method+" "+path+" "+name+": "+value)
}
