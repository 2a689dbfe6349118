package keystone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/identity/login"
)

// A session is our own token.
type session struct {
	turn  chan struct{} // holds one while somebody logs in or looks
	token string
	until time.Time
}

// said is what Keystone says of a token.
type said struct {
	Token struct {
		Expires time.Time `json:"expires_at"`
		User    struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Domain struct {
				ID string `json:"id"`
			} `json:"domain"`
		} `json:"user"`
		Project struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Domain struct {
				ID string `json:"id"`
			} `json:"domain"`
		} `json:"project"`
		Roles []struct {
			Name string `json:"name"`
		} `json:"roles"`
	} `json:"token"`
}

// validate asks what a token is. answer.err says that it is no good; the error, that
// nobody knows.
func (a *Authenticator) validate(ctx context.Context, token string, expired bool) (answer, error) {
	refused := ""
	for {
		own, err := a.login(ctx, refused)
		if err != nil {
			return answer{}, err
		}
		var s said
		url := a.base + "auth/tokens?nocatalog=1"
		if expired {
			url += "&allow_expired=1"
		}
		resp, err := a.client().Get(ctx, url, &s, &gophercloud.RequestOpts{
			MoreHeaders: map[string]string{"X-Auth-Token": own, "X-Subject-Token": token}, OkCodes: []int{http.StatusOK}})
		if resp != nil {
			resp.Body.Close()
		}
		var status gophercloud.ErrUnexpectedResponseCode
		switch {
		case err == nil && (s.Token.User.ID == "" || s.Token.Expires.IsZero()):
			return answer{}, errors.New("validating a token is answered with what says nothing of one")
		case err == nil:
			return s.answer(), nil
		case !errors.As(err, &status):
			return answer{}, fmt.Errorf("validate a token: %w", transport(err))
		case status.Actual == http.StatusNotFound:
			return answer{err: identity.Unknown()}, nil
		case status.Actual == http.StatusUnauthorized && refused == "":
			refused = own // ended before its time, as when Keystone's keys were changed
		case status.Actual == http.StatusForbidden:
			return answer{}, fmt.Errorf("user %q may not validate tokens: give it the role service or admin in project %q", a.o.Username, a.o.Project)
		default:
			return answer{}, fmt.Errorf("validating a token is answered with status %d", status.Actual)
		}
	}
}

// answer makes a caller of what was said. Images belong to projects: a token for none,
// for a domain or for the whole system is good for nothing here.
func (s said) answer() answer {
	t := s.Token
	if t.Project.ID == "" {
		return answer{expires: t.Expires, err: identity.Unscoped()}
	}
	if !identity.Named(t.Project.ID) {
		return answer{expires: t.Expires, err: errcode.New(errcode.Forbidden, "the project's id is not 1 to 64 letters, digits, '-', '_' and '.'").
			With(errcode.Evidence{Structure: "token", Field: "project.id", Value: errcode.Shown(t.Project.ID)})}
	}
	c := identity.Caller{Project: t.Project.ID, ProjectName: t.Project.Name, Domain: t.Project.Domain.ID, User: t.User.ID, UserName: t.User.Name}
	for _, r := range t.Roles {
		c.Roles = append(c.Roles, r.Name)
	}
	return answer{caller: c, expires: t.Expires}
}

// login returns our own token: the one at hand, unless it is old or was refused.
func (a *Authenticator) login(ctx context.Context, refused string) (string, error) {
	s := &a.own
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if s.token != "" && s.token != refused && a.now().Before(s.until) {
		return s.token, nil
	}
	s.token = ""
	made, err := login.Do(ctx, a.client(), &tokens.AuthOptions{
		Username: a.o.Username, Password: a.o.Password, DomainName: a.o.UserDomain,
		Scope: tokens.Scope{ProjectName: a.o.Project, DomainName: a.o.ProjectDomain},
	})
	var status gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &status) && (status.Actual == http.StatusUnauthorized || status.Actual == http.StatusForbidden):
		return "", fmt.Errorf("the identity service refuses user %q of domain %q in project %q: see its name, password and project", a.o.Username, a.o.UserDomain, a.o.Project)
	case errors.As(err, &status):
		return "", fmt.Errorf("our login is answered with status %d", status.Actual)
	case errors.Is(err, login.ErrNoToken), errors.Is(err, login.ErrNoCatalog):
		return "", fmt.Errorf("our login: %w", err)
	case err != nil:
		return "", fmt.Errorf("log in: %w", transport(err))
	}
	s.token, s.until = made.Token, made.Until
	return s.token, nil
}

// client returns a client that follows no redirect: it sends a password and tokens.
func (a *Authenticator) client() *gophercloud.ServiceClient {
	return login.Client(a.base, a.o.Transport)
}

// transport keeps of an error what is about the connection. What a library or a
// service says beside that may repeat what was sent.
func transport(err error) error {
	for _, known := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known
		}
	}
	var op interface {
		error
		Timeout() bool
	}
	if errors.As(err, &op) {
		return op
	}
	return errors.New("the answer cannot be read")
}
