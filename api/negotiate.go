package api

import (
	"net/http"
	"slices"
	"strings"
)

// versionIDs are the versions of the Image API that the server has, the newest first. They
// follow from what is switched on: 2.14 and 2.16 are the cache's, 2.8, 2.10, 2.11 and 2.13
// belong to several stores, 2.17 has the calls for locations. 2.12 brought the tasks of an image, 2.15 what a project uses.
func (a *api) versionIDs() []string {
	var ids []string
	if a.Locations != nil {
		ids = append(ids, "v2.17")
	}
	if a.Cache != nil {
		ids = append(ids, "v2.16", "v2.15", "v2.14")
	} else {
		ids = append(ids, "v2.15")
	}
	if len(a.Stores) > 1 {
		ids = append(ids, "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8")
	} else {
		ids = append(ids, "v2.12", "v2.9")
	}
	return append(ids, "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
}

// versionMedia begins the media types that ask for a version.
const versionMedia = "application/vnd.openstack.images-"

// negotiated writes a path in the form that routes have: /v2.9/images is /v2/images, and so
// is /images if the Accept header asks for application/vnd.openstack.images-v2. For a
// version that there is not it is /, where the versions are listed.
func (a *api) negotiated(r *http.Request) *http.Request {
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if isVersion(first) {
		if first != "v2" && slices.Contains(a.versionIDs(), first) {
			return rerouted(r, "/"+first, "/v2")
		}
		return r
	}
	asked, ok := strings.CutPrefix(r.Header.Get("Accept"), versionMedia)
	if !ok || first == "" && rest == "" || first == "versions" || strings.HasPrefix(r.URL.Path, identityPrefix) {
		return r
	}
	if asked == "v2" || slices.Contains(a.versionIDs(), asked) {
		return rerouted(r, "", "/v2")
	}
	out := *r
	u := *r.URL
	u.Path, u.RawPath = "/", ""
	out.URL = &u
	return &out
}

// isVersion reports whether a part of a path is that of a version.
func isVersion(part string) bool {
	return len(part) > 1 && part[0] == 'v' && strings.Trim(part[1:], "0123456789.") == ""
}

// rerouted returns the request with another beginning of its path.
func rerouted(r *http.Request, from, to string) *http.Request {
	out := *r
	u := *r.URL
	u.Path = to + strings.TrimPrefix(u.Path, from)
	if u.RawPath != "" {
		u.RawPath = to + strings.TrimPrefix(u.RawPath, from)
	}
	out.URL = &u
	return &out
}
