package devkeystone

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
	"ingest/internal/identity"
)

// Bounds of the file. A costly hash would take the processor from imports.
const (
	maxEntries = 10000
	maxCost    = 14
)

// HashCost is that of HashPassword: about 0.1 s of one core.
const HashCost = 11

// A project is one that users have roles in.
type project struct {
	ID          string `yaml:"id"` // "" is the name
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
}

// A user is one who can log in.
type user struct {
	ID       string              `yaml:"id"` // "" is the name
	Name     string              `yaml:"name"`
	Password string              `yaml:"password"` // bcrypt
	Default  string              `yaml:"default_project"`
	Roles    map[string][]string `yaml:"projects"` // by a project's name
}

// A directory is what the file says.
type directory struct {
	Region   string    `yaml:"region"`
	Projects []project `yaml:"projects"`
	Users    []user    `yaml:"users"`
}

// parse reads the file's text. What is wrong with it is errcode.IdentityFile, and never
// repeats a hash.
func parse(raw []byte) (*directory, error) {
	d := &directory{}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(d); err != nil && !errors.Is(err, io.EOF) {
		return nil, wrong("", "it is no YAML file of users (line %s)", line(err))
	}
	if d.Region == "" {
		d.Region = "RegionOne"
	}
	if len(d.Projects) > maxEntries || len(d.Users) > maxEntries {
		return nil, wrong("", "it has more than %d projects or users", maxEntries)
	}
	for i := range d.Projects {
		p := &d.Projects[i]
		if p.ID == "" {
			p.ID = p.Name
		}
		if !identity.Named(p.ID) || p.Name == "" || len(p.Name) > 64 || len(p.Description) > 255 {
			return nil, wrong("projects", "project %d has no name of 1 to 64 characters, or an id that is not 1 to 64 letters, digits, '-', '_' and '.'", i+1)
		}
	}
	for i := range d.Users {
		if err := d.complete(&d.Users[i]); err != nil {
			return nil, err
		}
	}
	return d, d.unique()
}

// complete fills in a user's defaults, and the projects that stand nowhere else.
func (d *directory) complete(u *user) error {
	if u.ID == "" {
		u.ID = u.Name
	}
	if !identity.Named(u.ID) || u.Name == "" || len(u.Name) > 64 {
		return wrong("users", "user %q has no name of 1 to 64 characters, or an id that is not 1 to 64 letters, digits, '-', '_' and '.'", errcode.Shown(u.Name))
	}
	if cost, err := bcrypt.Cost([]byte(u.Password)); err != nil || cost > maxCost {
		return wrong(u.Name, "the password of user %q is no bcrypt hash of a cost up to %d: make one with ingest token hash-password", u.Name, maxCost)
	}
	names := make([]string, 0, len(u.Roles))
	for name, roles := range u.Roles {
		if len(roles) == 0 || len(roles) > 32 || slices.ContainsFunc(roles, func(r string) bool { return !identity.Named(r) }) {
			return wrong(u.Name, "user %q has in project %q no roles, or some that are not 1 to 64 letters, digits, '-', '_' and '.'", u.Name, errcode.Shown(name))
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if d.project(name) != nil {
			continue
		}
		if !identity.Named(name) {
			return wrong(u.Name, "project %q of user %q is not 1 to 64 letters, digits, '-', '_' and '.': give it an id under projects", errcode.Shown(name), u.Name)
		}
		d.Projects = append(d.Projects, project{ID: name, Name: name})
	}
	if u.Default == "" && len(names) == 1 {
		u.Default = names[0]
	}
	if u.Default != "" && u.Roles[u.Default] == nil {
		return wrong(u.Name, "user %q has no role in the default project %q", u.Name, errcode.Shown(u.Default))
	}
	return nil
}

func (d *directory) unique() error {
	seen := map[string]bool{}
	for _, p := range d.Projects {
		for _, key := range []string{"project id " + p.ID, "project " + p.Name} {
			if seen[key] {
				return wrong("projects", "%s stands there twice", errcode.Shown(key))
			}
			seen[key] = true
		}
	}
	for _, u := range d.Users {
		for _, key := range []string{"user id " + u.ID, "user " + u.Name} {
			if seen[key] {
				return wrong("users", "%s stands there twice", errcode.Shown(key))
			}
			seen[key] = true
		}
	}
	return nil
}

// project returns the project of a name, nil if there is none.
func (d *directory) project(name string) *project {
	return find(d.Projects, func(p *project) bool { return p.Name == name })
}

func (d *directory) projectByID(id string) *project {
	return find(d.Projects, func(p *project) bool { return p.ID == id })
}

func (d *directory) userByID(id string) *user {
	return find(d.Users, func(u *user) bool { return u.ID == id })
}

func (d *directory) userByName(name string) *user {
	return find(d.Users, func(u *user) bool { return u.Name == name })
}

func find[T any](all []T, is func(*T) bool) *T {
	for i := range all {
		if is(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

// HashPassword returns what the file says of a password. errcode.BadRequest says that
// it is none: empty, or longer than the 72 bytes that bcrypt looks at.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > 72 {
		return "", errcode.New(errcode.BadRequest, "a password has 1 to 72 bytes").With(errcode.Evidence{Structure: "password", Field: "length", Limit: "72"})
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), HashCost)
	return string(h), err
}

// line takes of the library's message the line alone: the rest may repeat the text.
func line(err error) string {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	n, _, _ := strings.Cut(rest, ":")
	if !ok || strings.Trim(n, "0123456789") != "" {
		return "unknown"
	}
	return n
}

func wrong(field, format string, args ...any) error {
	return errcode.New(errcode.IdentityFile, "file of users: "+format, args...).With(errcode.Evidence{Structure: "file of users", Field: field})
}
