package devkeystone

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"ingest/internal/errcode"
	"ingest/internal/identity"
)

// routes are the service's paths.
func (s *Service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for path, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /{$}":                    s.versions,
		"GET /v3":                     s.oneVersion,
		"GET /v3/{$}":                 s.oneVersion,
		"POST /v3/auth/tokens":        s.login,
		"GET /v3/auth/tokens":         s.showToken, // HEAD too
		"DELETE /v3/auth/tokens":      s.revokeToken,
		"GET /v3/auth/catalog":        s.known(s.showCatalog),
		"GET /v3/auth/projects":       s.known(s.ownProjects),
		"GET /v3/projects":            s.known(s.projects),
		"GET /v3/projects/{id}":       s.known(s.showProject),
		"GET /v3/users/{id}":          s.known(s.showUser),
		"GET /v3/users/{id}/projects": s.known(s.userProjects),
		"GET /v3/domains":             s.known(s.domains),
		"GET /v3/domains/{id}":        s.known(s.showDomain),
		"/":                           s.nothing,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return mux
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == Prefix {
		s.mux.ServeHTTP(w, withPath(r, "/"))
		return
	}
	http.StripPrefix(Prefix, s.mux).ServeHTTP(w, r)
}

func withPath(r *http.Request, path string) *http.Request {
	to := r.Clone(r.Context())
	to.URL.Path, to.URL.RawPath = path, ""
	return to
}

// A statusError is an error as Keystone tells it.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

func fault(status int, message string) error { return &statusError{status, message} }

func unauthorized() error {
	return fault(http.StatusUnauthorized, "The request you have made requires authentication.")
}

func absent(what, id string) error {
	return fault(http.StatusNotFound, fmt.Sprintf("Could not find %s: %s.", what, errcode.Shown(id)))
}

// fail answers with an error.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *statusError
	if !errors.As(err, &e) {
		if r.Context().Err() == nil {
			s.log.Error().Err(err).Str("path", r.URL.Path).Msg("identity request failed")
		}
		e = &statusError{http.StatusInternalServerError, "The request could not be answered."}
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Keystone uri=%q", s.base(r)+Prefix+"/v3"))
	}
	_ = answer(w, e.status, object{"error": object{"code": e.status, "title": http.StatusText(e.status), "message": e.message}})
}

// answer sends a document.
func answer(w http.ResponseWriter, status int, body object) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw)
	return nil
}

// known answers those who have a token.
func (s *Service) known(serve func(http.ResponseWriter, *http.Request, grant) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		g, err := s.asker(r)
		if err != nil {
			return err
		}
		return serve(w, r, g)
	}
}

func (s *Service) asker(r *http.Request) (grant, error) {
	if token, err := identity.Token(r); err == nil {
		if g, ok := s.grant(token); ok {
			return g, nil
		}
	}
	return grant{}, unauthorized()
}

func (s *Service) nothing(_ http.ResponseWriter, r *http.Request) error {
	return absent("path", r.URL.Path)
}

func (s *Service) versions(w http.ResponseWriter, r *http.Request) error {
	return answer(w, http.StatusMultipleChoices, object{"versions": object{"values": []object{s.version(r)}}})
}

func (s *Service) oneVersion(w http.ResponseWriter, r *http.Request) error {
	return answer(w, http.StatusOK, object{"version": s.version(r)})
}

// subject returns the token that a request is about, if the asker may know of it.
func (s *Service) subject(r *http.Request) (string, grant, error) {
	asker, err := s.asker(r)
	if err != nil {
		return "", grant{}, err
	}
	token := r.Header.Get("X-Subject-Token")
	if token == "" {
		return "", grant{}, fault(http.StatusBadRequest, "Expecting to find X-Subject-Token in the headers.")
	}
	g, ok := s.grant(token)
	service := identity.Caller{Roles: asker.roles()}.Has(identity.Service)
	if own := ok && g.user.ID == asker.user.ID; !own && !asker.admin() && !service {
		return "", grant{}, fault(http.StatusForbidden, "You are not authorized to ask about the tokens of others.")
	}
	if !ok {
		return "", grant{}, fault(http.StatusNotFound, "Could not find token.")
	}
	return token, g, nil
}

func (s *Service) showToken(w http.ResponseWriter, r *http.Request) error {
	token, g, err := s.subject(r)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", token)
	w.Header().Set("Vary", "X-Auth-Token")
	return answer(w, http.StatusOK, s.tokenDocument(r, g))
}

func (s *Service) revokeToken(w http.ResponseWriter, r *http.Request) error {
	_, g, err := s.subject(r)
	if err != nil {
		return err
	}
	if err := s.signer.revoke(g.ticket); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) showCatalog(w http.ResponseWriter, r *http.Request, g grant) error {
	if g.project == nil {
		return fault(http.StatusForbidden, "The catalog is that of a project: the token has none.")
	}
	return answer(w, http.StatusOK, s.collection(r, "catalog", s.catalog(r)))
}
