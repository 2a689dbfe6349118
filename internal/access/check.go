package access

import (
	"slices"
	"strings"

	"ingest/internal/identity"
)

// A question is what a check is asked about.
type question struct {
	caller identity.Caller
	target Target
}

// A check is a node of a rule's tree.
type check interface {
	holds(q *question) bool
}

// constant is "@", "!" and the empty rule.
type constant bool

func (c constant) holds(*question) bool { return bool(c) }

type allOf []check

func (a allOf) holds(q *question) bool {
	for _, c := range a {
		if !c.holds(q) {
			return false
		}
	}
	return true
}

type anyOf []check

func (a anyOf) holds(q *question) bool {
	for _, c := range a {
		if c.holds(q) {
			return true
		}
	}
	return false
}

type not struct{ check }

func (n not) holds(q *question) bool { return !n.check.holds(q) }

// role is "role:NAME". Names are alike in either case, as in oslo.policy.
type role string

func (r role) holds(q *question) bool {
	if q.caller.Has(string(r)) {
		return true
	}
	return slices.ContainsFunc(q.caller.Roles, func(have string) bool { return strings.EqualFold(have, string(r)) })
}

// serviceRole is "service_roles:NAME": a role of the service that passes the request on.
type serviceRole string

func (s serviceRole) holds(q *question) bool {
	return slices.ContainsFunc(q.caller.ServiceRoles, func(have string) bool { return strings.EqualFold(have, string(s)) })
}

// reference is "rule:NAME"; link fills in the tree of the other rule.
type reference struct {
	name string
	tree check
}

func (r *reference) holds(q *question) bool { return r.tree.holds(q) }

// attribute is "NAME:TEXT": the caller's attribute equals the text. Neither an absent
// attribute nor a text with an absent value equals anything.
type attribute struct {
	of   func(identity.Caller) string
	text template
}

func (a attribute) holds(q *question) bool {
	want, ok := a.text.fill(q.target)
	return ok && want != "" && a.of(q.caller) == want
}

// literal is "'word':TEXT": the target's value equals the word.
type literal struct {
	value string
	text  template
}

func (l literal) holds(q *question) bool {
	got, ok := l.text.fill(q.target)
	return ok && got == l.value
}

// absent is "None:%(name)s": the target has the name and no value for it.
type absent struct{ name string }

func (a absent) holds(q *question) bool {
	_, set, known := q.target.get(a.name)
	return known && !set
}

// A template is text in which %(name)s stands for a value of the target. Texts and
// names take turns, a text first.
type template []string

// fill writes the values in; false says that one is absent.
func (t template) fill(target Target) (string, bool) {
	switch {
	case len(t) == 1:
		return t[0], true
	case len(t) == 3 && t[0] == "" && t[2] == "": // one value alone, which nearly all are
		value, set, _ := target.get(t[1])
		return value, set
	}
	var b strings.Builder
	for i, part := range t {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		value, set, _ := target.get(part)
		if !set {
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// attributes are what rules can say of a caller. Those that ingest does not know of
// anybody have no value, so that a check for them is false.
func attributes() map[string]func(identity.Caller) string {
	nobody := func(identity.Caller) string { return "" }
	project := func(c identity.Caller) string { return c.Project }
	user := func(c identity.Caller) string { return c.User }
	domain := func(c identity.Caller) string { return c.Domain }
	return map[string]func(identity.Caller) string{
		"project_id": project, "tenant_id": project, "tenant": project,
		"user_id": user, "user": user,
		"project_domain_id": domain, "domain_id": nobody, "user_domain_id": nobody, "system_scope": nobody,
		"project_name":     func(c identity.Caller) string { return c.ProjectName },
		"user_name":        func(c identity.Caller) string { return c.UserName },
		"is_admin_project": func(identity.Caller) string { return pythonBool(true) }, // unless Keystone says otherwise
	}
}
