package apidiff_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ingest/internal/apidiff"
	"ingest/internal/glancetest"
)

// A side is one of the two services, with the ids of its images by visibility.
type side struct {
	t      *testing.T
	name   string
	url    string
	images map[string]string
}

// ask sends a request and returns the answer's status and body. IMAGE in the path is
// the image of a visibility.
func (s *side) ask(c apidiff.Caller, method, path, body, visibility string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+strings.ReplaceAll(path, "IMAGE", s.images[visibility]), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"X-Identity-Status": "Confirmed", "X-Project-Id": c.Project, "X-User-Id": c.User, "X-Roles": c.Roles,
		"Content-Type": "application/json",
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, raw
}

// populate makes an image of each visibility, which belongs to the project red and, as
// long as it is shared, has the member blue.
func (s *side) populate() {
	s.t.Helper()
	s.images = map[string]string{}
	for _, visibility := range []string{"private", "shared", "community", "public"} {
		status, raw := s.ask(root, "POST", "/v2/images", `{"owner":"red","disk_format":"raw","container_format":"bare","visibility":"`+visibility+`"}`, "")
		var out struct{ ID string }
		if err := json.Unmarshal(raw, &out); err != nil || status != 201 {
			s.t.Fatalf("%s: %d %s", s.name, status, raw)
		}
		s.images[visibility] = out.ID
	}
	if status, raw := s.ask(redMember, "POST", "/v2/images/IMAGE/members", `{"member":"blue"}`, "shared"); status != 200 {
		s.t.Fatalf("%s: %d %s", s.name, status, raw)
	}
}

// Who asks. Keystone gives an administrator the roles that the role implies, too.
var (
	root       = apidiff.Caller{Project: "root", User: "root", Roles: "admin,member,reader"}
	redMember  = apidiff.Caller{Project: "red", User: "r", Roles: "member,reader"}
	redReader  = apidiff.Caller{Project: "red", User: "e", Roles: "reader"}
	redNobody  = apidiff.Caller{Project: "red", User: "n", Roles: "visitor"}
	blueMember = apidiff.Caller{Project: "blue", User: "b", Roles: "member,reader"}
	blueReader = apidiff.Caller{Project: "blue", User: "l", Roles: "reader"}
	green      = apidiff.Caller{Project: "green", User: "g", Roles: "member,reader"}
)

// accessQuestions are asked by everybody, the last ones change the most.
func accessQuestions() []string {
	return []string{
		"GET /v2/images/IMAGE",
		"GET /v2/images/IMAGE/file",
		"GET /v2/images/IMAGE/members",
		"GET /v2/images/IMAGE/members/blue",
		`POST /v2/images/IMAGE/members {"member":"USER"}`,
		"DELETE /v2/images/IMAGE/members/USER",
		`PUT /v2/images/IMAGE/members/blue {"status":"accepted"}`,
		"PUT /v2/images/IMAGE/tags/USER",
		"DELETE /v2/images/IMAGE/tags/USER",
		"GET /v2/images/IMAGE/tasks",
		"DELETE /v2/images/IMAGE",
	}
}

// serverQuestions are about no image.
func serverQuestions() []string {
	return []string{
		"GET /v2/images",
		"POST /v2/images {}",
		`POST /v2/images {"visibility":"community"}`,
		`POST /v2/images {"visibility":"public"}`,
		`POST /v2/images {"owner":"yellow"}`,
		"GET /v2/tasks",
		"GET /v2/info/import",
		"GET /v2/info/stores",
		"GET /v2/metadefs/namespaces",
		`POST /v2/metadefs/namespaces {"namespace":"USER"}`,
	}
}

// An accessDifference is one that is meant: the beginning of a question, who asks
// (project and roles; "" is anybody), and the statuses.
type accessDifference struct {
	question, by string
	glance, ours int
	reason       string
}

// accessDifferences are listed in docs/access.md, too.
func accessDifferences() []accessDifference {
	const (
		tasks   = "a project sees its own tasks; Glance shows tasks to administrators only"
		secret  = "what a task fetched, and from where, is for those whom the image belongs to"
		unseen  = "who may not see an image is not told that it is there"
		refused = "a list that somebody may not have is refused, and not said to be absent"
		first   = "who may not end memberships is told so before it is looked whether there is one"
	)
	const nobody = "red visitor"
	return []accessDifference{
		{"GET /v2/tasks", "", 403, 200, tasks},
		{"GET /v2/images/IMAGE/tasks", "", 200, 403, secret},
		{"GET /v2/images/IMAGE/members", nobody, 403, 404, unseen},
		{"POST /v2/images/IMAGE/members", nobody, 403, 404, unseen},
		{"PUT /v2/images/IMAGE/members", nobody, 403, 404, unseen},
		{"DELETE /v2/images/IMAGE/members", nobody, 403, 404, unseen},
		{"GET /v2/metadefs/namespaces", nobody, 404, 403, refused},
		{"POST /v2/metadefs/namespaces", nobody, 404, 403, refused},
		{"DELETE /v2/images/IMAGE/members", "", 404, 403, first},
	}
}

// TestAccess asks Debian's real Glance with its newer policies, and ingest, the same on
// behalf of seven callers, and compares the statuses.
func TestAccess(t *testing.T) {
	glance := &side{t: t, name: "Glance", url: glancetest.StartTrusting(t, glancetest.NewDefaults).Endpoint}
	mine := &side{t: t, name: "ingest", url: ours(t).URL}
	glance.populate()
	mine.populate()
	intended := accessDifferences()
	seen := make([]bool, len(intended))
	n := 0
	compare := func(c apidiff.Caller, question, visibility string) {
		n++
		parts := append(strings.SplitN(strings.ReplaceAll(question, "USER", c.User), " ", 3), "")
		theirs, _ := glance.ask(c, parts[0], parts[1], parts[2], visibility)
		got, body := mine.ask(c, parts[0], parts[1], parts[2], visibility)
		if theirs == got {
			return
		}
		i := slices.IndexFunc(intended, func(d accessDifference) bool {
			return strings.HasPrefix(question, d.question) && (d.by == "" || d.by == c.Project+" "+c.Roles) && d.glance == theirs && d.ours == got
		})
		if i < 0 {
			t.Errorf("%s, %s, by %s %s: Glance %d, ingest %d %.200s", question, visibility, c.Project, c.Roles, theirs, got, body)
			return
		}
		seen[i] = true
	}
	everybody := []apidiff.Caller{redNobody, green, blueReader, blueMember, redReader, redMember, root}
	for _, question := range serverQuestions() {
		for _, c := range everybody {
			compare(c, question, "")
		}
	}
	for _, question := range accessQuestions() {
		for _, visibility := range []string{"private", "shared", "community", "public"} {
			for _, c := range everybody {
				compare(c, question, visibility)
			}
		}
	}
	for i, d := range intended {
		if !seen[i] {
			t.Errorf("the difference %+v is not seen", d)
		}
	}
	if n < 300 {
		t.Errorf("only %d requests were compared", n)
	}
	t.Logf("%d requests to each, %d intended differences", n, len(intended))
}
