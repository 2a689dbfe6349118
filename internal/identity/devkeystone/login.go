package devkeystone

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/ratelimit"
)

// maxBody bounds a request, bytes.
const maxBody = 64 << 10

// named is how a request names a domain, and with one a user or a project.
type named struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain *named `json:"domain"`
}

// here reports whether a domain is the one that there is. One that is left out is too.
func (n *named) here() bool {
	return n == nil || n.ID == domainID || n.ID == "" && (n.Name == domainName || n.Name == domainID)
}

// account names whom a password is said to be of, alike in all the ways of saying so:
// who guesses has so many attempts at a user, and not at each spelling.
func (n *named) account(u *user) string {
	switch {
	case u != nil:
		return u.ID
	case n.ID != "":
		return n.ID // which alone counts, whatever name stands beside it
	}
	return n.Name
}

// loginRequest is the body of POST /v3/auth/tokens.
type loginRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User struct {
					named
					Password string `json:"password"`
				} `json:"user"`
			} `json:"password"`
			Token struct {
				ID string `json:"id"`
			} `json:"token"`
		} `json:"identity"`
		Scope json.RawMessage `json:"scope"`
	} `json:"auth"`
}

// scope is what a token is asked for.
type scope struct {
	Project *named          `json:"project"`
	Domain  json.RawMessage `json:"domain"`
	System  json.RawMessage `json:"system"`
	Trust   json.RawMessage `json:"OS-TRUST:trust"`
}

// login answers POST /v3/auth/tokens.
func (s *Service) login(w http.ResponseWriter, r *http.Request) error {
	var in loginRequest
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault(http.StatusRequestEntityTooLarge, "The request is larger than 64 KiB.")
	}
	if err != nil || json.Unmarshal(raw, &in) != nil {
		return fault(http.StatusBadRequest, "Expecting to find auth in request body: it is no JSON, or has other types.")
	}
	methods := in.Auth.Identity.Methods
	switch {
	case slices.Equal(methods, []string{"password"}):
		return s.byPassword(w, r, in)
	case slices.Equal(methods, []string{"token"}):
		return s.byToken(w, r, in)
	case len(methods) == 0:
		return fault(http.StatusBadRequest, "Expecting to find methods in identity.")
	default:
		return fault(http.StatusUnauthorized, "Attempted to authenticate with an unsupported method: this service knows password and token.")
	}
}

func (s *Service) byPassword(w http.ResponseWriter, r *http.Request, in loginRequest) error {
	asked := in.Auth.Identity.Password.User
	if asked.ID == "" && asked.Name == "" || len(asked.ID)+len(asked.Name) > 512 {
		return fault(http.StatusBadRequest, "Expecting to find id or name in user.")
	}
	d := s.users.Get()
	u := d.userByID(asked.ID)
	if asked.ID == "" && asked.Domain.here() {
		u = d.userByName(asked.Name)
	}
	// All of an IPv6 network that one subscriber gets is one address.
	ok, wait, err := s.guard.compare(r.Context(), u, asked.account(u), ratelimit.Address(r.RemoteAddr), asked.Password)
	if wait > 0 || errcode.Of(err) == errcode.TooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(max(int(math.Ceil(wait.Seconds())), 1)))
		return fault(http.StatusTooManyRequests, "Too many wrong passwords, or too many logins at once: wait as long as Retry-After says.")
	}
	if err != nil {
		return err
	}
	if !ok {
		address, _, _ := net.SplitHostPort(r.RemoteAddr)
		s.log.Warn().Str("user", errcode.Shown(asked.Name+asked.ID)).Str("address", address).Msg("login refused")
		return unauthorized()
	}
	return s.grantTo(w, r, u, in.Auth.Scope, grant{ticket: ticket{Methods: []string{"password"}}})
}

// byToken gives a token for another one, which ends when that does.
func (s *Service) byToken(w http.ResponseWriter, r *http.Request, in loginRequest) error {
	g, ok := s.grant(in.Auth.Identity.Token.ID)
	if !ok {
		return unauthorized()
	}
	if !slices.Contains(g.ticket.Methods, "token") {
		g.ticket.Methods = append(g.ticket.Methods, "token")
	}
	return s.grantTo(w, r, g.user, in.Auth.Scope, g)
}

// grantTo answers with a token of the scope that was asked for, else of the user's
// default project.
func (s *Service) grantTo(w http.ResponseWriter, r *http.Request, u *user, raw json.RawMessage, from grant) error {
	p, err := s.scoped(u, raw)
	if err != nil {
		return err
	}
	var until time.Time // the default
	if from.ticket.Expires != 0 {
		until = from.expires()
	}
	token, g, err := s.issue(u, p, from.ticket.Methods, until)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", token)
	w.Header().Set("Vary", "X-Auth-Token")
	return answer(w, http.StatusCreated, s.tokenDocument(r, g))
}

// scoped returns the project that a token is asked for, nil for an unscoped one.
func (s *Service) scoped(u *user, raw json.RawMessage) (*project, error) {
	d := s.users.Get()
	if len(raw) == 0 || string(raw) == "null" {
		return d.project(u.Default), nil
	}
	var word string
	if json.Unmarshal(raw, &word) == nil {
		if word != "unscoped" {
			return nil, fault(http.StatusBadRequest, "Expecting the scope to be a project or \"unscoped\".")
		}
		return nil, nil
	}
	var in scope
	if json.Unmarshal(raw, &in) != nil {
		return nil, fault(http.StatusBadRequest, "Expecting the scope to be a project or \"unscoped\".")
	}
	switch {
	case in.Domain != nil || in.System != nil || in.Trust != nil:
		return nil, fault(http.StatusUnauthorized, "This service gives tokens for projects only.")
	case in.Project == nil:
		return nil, nil // {"unscoped": {}}
	}
	p := d.projectByID(in.Project.ID)
	if in.Project.ID == "" && in.Project.Domain.here() {
		p = d.project(in.Project.Name)
	}
	if p == nil || len(u.Roles[p.Name]) == 0 {
		return nil, unauthorized()
	}
	return p, nil
}
