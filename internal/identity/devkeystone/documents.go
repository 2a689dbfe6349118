package devkeystone

import (
	"net/http"
	"time"
)

// The one domain.
const (
	domainID   = "default"
	domainName = "Default"
)

// stamp is how Keystone writes a time.
const stamp = "2006-01-02T15:04:05.000000Z"

type object = map[string]any

func domain() object { return object{"id": domainID, "name": domainName} }

// base is the URL of the whole server, without a slash at its end.
func (s *Service) base(r *http.Request) string {
	if s.endpoint != "" {
		return s.endpoint
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// tokenDocument says what a token gives. The catalog stands in it, unless the token is
// unscoped or the request does not want it.
func (s *Service) tokenDocument(r *http.Request, g grant) object {
	t := object{
		"methods":    g.ticket.Methods,
		"user":       object{"id": g.user.ID, "name": g.user.Name, "domain": domain(), "password_expires_at": nil},
		"audit_ids":  []string{g.ticket.ID},
		"issued_at":  time.UnixMicro(g.ticket.Issued).UTC().Format(stamp),
		"expires_at": g.expires().UTC().Format(stamp),
	}
	if g.project != nil {
		t["project"] = object{"id": g.project.ID, "name": g.project.Name, "domain": domain()}
		t["is_domain"] = false
		roles := []object{}
		for _, name := range g.roles() {
			roles = append(roles, object{"id": name, "name": name})
		}
		t["roles"] = roles
		if !r.URL.Query().Has("nocatalog") {
			t["catalog"] = s.catalog(r)
		}
	}
	return object{"token": t}
}

// catalog lists the image service and this one, which the same listener has.
func (s *Service) catalog(r *http.Request) []object {
	region := s.users.Get().Region
	service := func(kind, name, url string) object {
		endpoints := []object{}
		for _, face := range []string{"public", "internal", "admin"} {
			endpoints = append(endpoints, object{"id": name + "-" + face, "interface": face, "region": region, "region_id": region, "url": url})
		}
		return object{"id": name, "type": kind, "name": name, "endpoints": endpoints}
	}
	return []object{service("image", "glance", s.base(r)), service("identity", "keystone", s.base(r)+Prefix+"/v3")}
}

// version describes the one version of the API.
func (s *Service) version(r *http.Request) object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []object{{"rel": "self", "href": s.base(r) + Prefix + "/v3/"}},
		"media-types": []object{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

func (s *Service) projectDocument(r *http.Request, p project) object {
	return object{
		"id": p.ID, "name": p.Name, "description": p.Description, "domain_id": domainID, "parent_id": domainID,
		"enabled": true, "is_domain": false, "options": object{}, "tags": []string{},
		"links": object{"self": s.base(r) + Prefix + "/v3/projects/" + p.ID},
	}
}

func (s *Service) userDocument(r *http.Request, u user) object {
	out := object{
		"id": u.ID, "name": u.Name, "domain_id": domainID, "enabled": true, "options": object{}, "password_expires_at": nil,
		"links": object{"self": s.base(r) + Prefix + "/v3/users/" + u.ID},
	}
	if p := s.users.Get().project(u.Default); p != nil {
		out["default_project_id"] = p.ID
	}
	return out
}

func (s *Service) domainDocument(r *http.Request) object {
	return object{
		"id": domainID, "name": domainName, "description": "", "enabled": true, "options": object{}, "tags": []string{},
		"links": object{"self": s.base(r) + Prefix + "/v3/domains/" + domainID},
	}
}

// collection is a list as Keystone has it.
func (s *Service) collection(r *http.Request, name string, all []object) object {
	return object{name: all, "links": object{"self": s.base(r) + Prefix + r.URL.Path, "next": nil, "previous": nil}}
}
