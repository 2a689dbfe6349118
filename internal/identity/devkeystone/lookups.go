package devkeystone

import "net/http"

// Clients look up by name whom an image is to be shared with, and which projects their
// user may choose from. Administrators see everybody; others themselves.

func (s *Service) listProjects(w http.ResponseWriter, r *http.Request, sees func(project) bool) error {
	name, domain := r.URL.Query().Get("name"), r.URL.Query().Get("domain_id")
	all := []object{}
	for _, p := range s.users.Get().Projects {
		if sees(p) && (name == "" || name == p.Name) && (domain == "" || domain == domainID) {
			all = append(all, s.projectDocument(r, p))
		}
	}
	return answer(w, http.StatusOK, s.collection(r, "projects", all))
}

func (s *Service) ownProjects(w http.ResponseWriter, r *http.Request, g grant) error {
	return s.listProjects(w, r, func(p project) bool { return len(g.user.Roles[p.Name]) > 0 })
}

func (s *Service) projects(w http.ResponseWriter, r *http.Request, g grant) error {
	return s.listProjects(w, r, func(p project) bool { return g.admin() || len(g.user.Roles[p.Name]) > 0 })
}

func (s *Service) userProjects(w http.ResponseWriter, r *http.Request, g grant) error {
	u := s.users.Get().userByID(r.PathValue("id"))
	if u == nil || u.ID != g.user.ID && !g.admin() {
		return absent("user", r.PathValue("id"))
	}
	return s.listProjects(w, r, func(p project) bool { return len(u.Roles[p.Name]) > 0 })
}

func (s *Service) showProject(w http.ResponseWriter, r *http.Request, g grant) error {
	p := s.users.Get().projectByID(r.PathValue("id"))
	if p == nil || len(g.user.Roles[p.Name]) == 0 && !g.admin() {
		return absent("project", r.PathValue("id"))
	}
	return answer(w, http.StatusOK, object{"project": s.projectDocument(r, *p)})
}

func (s *Service) showUser(w http.ResponseWriter, r *http.Request, g grant) error {
	u := s.users.Get().userByID(r.PathValue("id"))
	if u == nil || u.ID != g.user.ID && !g.admin() {
		return absent("user", r.PathValue("id"))
	}
	return answer(w, http.StatusOK, object{"user": s.userDocument(r, *u)})
}

func (s *Service) domains(w http.ResponseWriter, r *http.Request, _ grant) error {
	all := []object{}
	if name := r.URL.Query().Get("name"); name == "" || name == domainName {
		all = append(all, s.domainDocument(r))
	}
	return answer(w, http.StatusOK, s.collection(r, "domains", all))
}

func (s *Service) showDomain(w http.ResponseWriter, r *http.Request, _ grant) error {
	if r.PathValue("id") != domainID {
		return absent("domain", r.PathValue("id"))
	}
	return answer(w, http.StatusOK, object{"domain": s.domainDocument(r)})
}
