package api

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/ratelimit"
)

// open are the paths that everybody may ask for, by their patterns: what clients
// look at before they have a token, what load balancers watch, the identity service
// itself, and what is not there.
var open = map[string]bool{
	"/{$}": true, "/versions": true, "/v2": true, "/v2/{$}": true, "/": true,
	"/v1/healthz": true, "/healthcheck": true,
	identityPrefix: true, identityPrefix + "/": true,
}

// identityPrefix is where the identity service is, if the server has one.
const identityPrefix = "/identity"

// enter finds out who makes a request, and whether they ask too often.
func (a *api) enter(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) (identity.Caller, error) {
	_, pattern := mux.Handler(r)
	_, path, found := strings.Cut(pattern, " ")
	if !found {
		path = pattern
	}
	var who identity.Caller
	var err error
	if a.believes() || !open[path] {
		who, err = a.Identity.Authenticate(r)
	}
	if path == "/v1/healthz" || path == "/healthcheck" {
		return who, err
	}
	bucket := ratelimit.Project(who.Project)
	if who.Project == "" {
		bucket = ratelimit.Address(r.RemoteAddr)
	}
	if wait := a.Limits.Take(bucket); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		return who, errcode.New(errcode.TooManyRequests, "too many requests of this %s", strings.Fields(bucket)[0])
	}
	return who, err
}

// believes reports whether nothing proves what requests say of themselves.
func (a *api) believes() bool {
	_, yes := a.Identity.(identity.Headers)
	return yes
}

// sign writes into a request who makes it. Roles that nothing proves stay out: the
// operator's policy goes by them.
func (a *api) sign(r *http.Request, req *contract.ImportRequest) error {
	who := caller(r)
	if a.believes() {
		if req.UserID == "" {
			req.UserID = who.User
		}
		return nil
	}
	if req.UserID != "" && req.UserID != who.User {
		return fieldError(errcode.Forbidden, "user_id", req.UserID, "an import is of the user who asks for it, here %q", who.User)
	}
	req.UserID, req.Roles = who.User, who.Roles
	return nil
}
