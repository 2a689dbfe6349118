package access

import (
	"regexp"
	"slices"
	"strings"

	"ingest/internal/identity"
)

// An Operation is what is done with a property of an image.
type Operation string

// The four operations of property protections.
const (
	Create Operation = "create"
	Read   Operation = "read"
	Update Operation = "update"
	Delete Operation = "delete"
)

func operations() []Operation { return []Operation{Create, Read, Update, Delete} }

// A Form is how a protection says who is allowed.
type Form string

// The two forms of a file of protections, as Glance has them.
const (
	ByRoles    Form = "roles"    // names of roles, separated by commas
	ByPolicies Form = "policies" // the name of one rule
)

// Protections say who may do what with which properties of images. The first section
// whose pattern is found in a property's name decides; a property that no section
// matches is nobody's. nil Protections protect nothing. They never change.
type Protections struct {
	form     Form
	digest   string
	sections []section
}

// A section is the words of one pattern.
type section struct {
	pattern *regexp.Regexp
	line    int
	allowed map[Operation][]string
}

// Allow reports whether a caller may do op with the property of a name. Rules are
// asked where protections name them.
func (p *Protections) Allow(op Operation, property string, c identity.Caller, rules *Rules) bool {
	if p == nil {
		return true
	}
	for _, s := range p.sections {
		if s.pattern.MatchString(property) {
			return p.grants(s.allowed[op], c, rules)
		}
	}
	return false
}

func (p *Protections) grants(words []string, c identity.Caller, rules *Rules) bool {
	switch {
	case slices.Contains(words, "!"):
		return false
	case slices.Contains(words, "@"):
		return true
	}
	return slices.ContainsFunc(words, func(word string) bool {
		if p.form == ByPolicies {
			return rules.Allows(word, c, Target{})
		}
		return slices.ContainsFunc(c.Roles, func(have string) bool { return strings.EqualFold(have, word) })
	})
}

// Unknown lists the rules that protections name and that there are not: such
// properties are nobody's.
func (p *Protections) Unknown(rules *Rules) []Problem {
	var out []Problem
	if p == nil || p.form != ByPolicies {
		return nil
	}
	for _, s := range p.sections {
		for _, op := range operations() {
			for _, word := range s.allowed[op] {
				if _, ok := rules.Rule(word); !ok && word != "@" && word != "!" {
					out = append(out, Problem{s.line, string(op) + ": there is no rule \"" + clip(word) + "\""})
				}
			}
		}
	}
	return out
}

// Digest tells sets of protections apart.
func (p *Protections) Digest() string { return p.digest }
