package devkeystone

import "net/http"

// Clients look up by name whom an image is to be shared with, and which projects their
// user may choose from. Administrators see everybody, others themselves. What others
// ask for beside is 403 whether it is there or not, as in Keystone: clients then take
// what they were given for an id.

func denied() error {
	return fault(http.StatusForbidden, "You are not authorized to perform the requested action.")
}

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
	if g.admin() {
		return s.listProjects(w, r, func(project) bool { return true })
	}
	if len(g.user.Roles[r.URL.Query().Get("name")]) == 0 {
		return denied() // clients that get a list look in it for what they have asked for
	}
	return s.ownProjects(w, r, g)
}

func (s *Service) userProjects(w http.ResponseWriter, r *http.Request, g grant) error {
	u, err := s.userFor(r, g)
	if err != nil {
		return err
	}
	return s.listProjects(w, r, func(p project) bool { return len(u.Roles[p.Name]) > 0 })
}

func (s *Service) showProject(w http.ResponseWriter, r *http.Request, g grant) error {
	p := s.users.Get().projectByID(r.PathValue("id"))
	if !g.admin() && (p == nil || len(g.user.Roles[p.Name]) == 0) {
		return denied()
	}
	if p == nil {
		return absent("project", r.PathValue("id"))
	}
	return answer(w, http.StatusOK, object{"project": s.projectDocument(r, *p)})
}

// userFor returns the user that a path names.
func (s *Service) userFor(r *http.Request, g grant) (*user, error) {
	id := r.PathValue("id")
	if id != g.user.ID && !g.admin() {
		return nil, denied()
	}
	u := s.users.Get().userByID(id)
	if u == nil {
		return nil, absent("user", id)
	}
	return u, nil
}

func (s *Service) showUser(w http.ResponseWriter, r *http.Request, g grant) error {
	u, err := s.userFor(r, g)
	if err != nil {
		return err
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
