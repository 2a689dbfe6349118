package identity

import (
	"net/http"
	"strings"

	"ingest/internal/errcode"
)

// DefaultProject owns what is asked for without an X-Project-Id header.
const DefaultProject = "default"

// Bounds of what a request says of itself. A project becomes part of workflow ids,
// so its alphabet is small.
const (
	maxName  = 64
	maxRoles = 32
	alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)

// Headers believes what a request says of itself in X-Project-Id, X-User-Id and
// X-Roles. Without roles it is a member of its project: what belongs to other projects
// is seen by those who ask as an administrator. What only concerns the server itself is
// open to whoever reaches a server with it (access.Open), and needs no role.
type Headers struct{}

var _ Authenticator = Headers{}

// Authenticate implements Authenticator. The error is errcode.BadRequest.
func (Headers) Authenticate(r *http.Request) (Caller, error) {
	c := Caller{Project: DefaultProject, Roles: []string{Member}}
	if p := r.Header.Get("X-Project-Id"); p != "" {
		if !Named(p) {
			return Caller{}, bad("X-Project-Id", p, "a project is 1 to 64 letters, digits, '-', '_' and '.'")
		}
		c.Project = p
	}
	if u := r.Header.Get("X-User-Id"); u != "" {
		if !Named(u) {
			return Caller{}, bad("X-User-Id", u, "a user is 1 to 64 letters, digits, '-', '_' and '.'")
		}
		c.User = u
	}
	said := r.Header.Values("X-Roles")
	if len(said) == 0 {
		return c, nil
	}
	c.Roles = nil
	for role := range strings.SplitSeq(strings.Join(said, ","), ",") {
		if role = strings.TrimSpace(role); role == "" {
			continue
		}
		if !Named(role) || len(c.Roles) == maxRoles {
			return Caller{}, bad("X-Roles", role, "roles are a list of at most 32, each 1 to 64 letters, digits, '-', '_' and '.'")
		}
		c.Roles = append(c.Roles, role)
	}
	return c, nil
}

// Challenge implements Authenticator.
func (Headers) Challenge() string { return "" }

// Named reports whether s can be the id of a project or user, or a role.
func Named(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, alphabet) == ""
}

func bad(field, value, why string) error {
	return errcode.New(errcode.BadRequest, "%s: %s", field, why).
		With(errcode.Evidence{Structure: "request", Field: field, Value: errcode.Shown(value)})
}
