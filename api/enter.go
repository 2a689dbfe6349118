package api

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

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
	watched := path != "/v1/healthz" && path != "/healthcheck"
	if watched {
		if err := a.approach(w, r); err != nil {
			return identity.Caller{}, err
		}
	}
	var who identity.Caller
	var err error
	if a.believes() || !open[path] {
		who, err = a.Identity.Authenticate(r)
	}
	if !watched {
		return who, err
	}
	bucket := ratelimit.Project(who.Project)
	if who.Project == "" {
		bucket = ratelimit.Address(r.RemoteAddr)
	}
	if wait := a.Limits.Take(bucket); wait > 0 {
		return who, later(w, wait, "too many requests of this "+strings.Fields(bucket)[0])
	}
	return who, err
}

// approach refuses an address that asks too often, or that has failed too often to prove
// who it is, before its proofs are looked at: that may cost a call of another service.
func (a *api) approach(w http.ResponseWriter, r *http.Request) error {
	bucket := ratelimit.Address(r.RemoteAddr)
	if wait := a.Failures.Peek(bucket); wait > 0 {
		return later(w, wait, "too many requests of this address have not proved who makes them")
	}
	if wait := a.Addresses.Take(bucket); wait > 0 {
		return later(w, wait, "too many requests of this address")
	}
	return nil
}

// answered looks at what a request was answered: one that nobody was let in by, a refused
// login among them, counts against its address.
func (a *api) answered(r *http.Request, status int) {
	if status == http.StatusUnauthorized {
		a.Failures.Charge(ratelimit.Address(r.RemoteAddr))
	}
}

// later is the error of a request that may be made again after a while.
func later(w http.ResponseWriter, wait time.Duration, why string) error {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return errcode.New(errcode.TooManyRequests, "%s", why)
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
