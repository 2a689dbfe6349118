package access

import (
	"fmt"
	"strings"
)

// Limits of one rule.
const (
	maxRule  = 4096 // bytes of its text
	maxDepth = 32   // of parentheses and of "not"
	maxWord  = 255  // bytes of a rule's or role's name
)

// contextIsAdmin is the rule that says who is an administrator; "is_admin:True" asks it.
const contextIsAdmin = "context_is_admin"

// A syntaxError says what is wrong with a rule's text, and where.
type syntaxError struct {
	column  int // from 1, bytes
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.column, e.message) }

// A word is a piece of a rule's text.
type word struct {
	text   string
	column int
}

// words splits a rule's text at spaces and at the parentheses that begin or end a
// piece: that of "%(name)s" belongs to its piece.
func words(text string) []word {
	var out []word
	for at := 0; at < len(text); {
		if strings.ContainsRune(" \t\r\n", rune(text[at])) {
			at++
			continue
		}
		end := at
		for end < len(text) && !strings.ContainsRune(" \t\r\n", rune(text[end])) {
			end++
		}
		for at < end && text[at] == '(' {
			out = append(out, word{"(", at + 1})
			at++
		}
		last := end
		for last > at && text[last-1] == ')' {
			last--
		}
		if last > at {
			out = append(out, word{text[at:last], at + 1})
		}
		for ; last < end; last++ {
			out = append(out, word{")", last + 1})
		}
		at = end
	}
	return out
}

// A parser reads one rule by recursive descent: "not" binds before "and", and that
// before "or".
type parser struct {
	words []word
	text  string
	refs  []*reference
	size  int // checks of the tree
}

// parseRule returns the tree of a rule's text, and the references in it.
func parseRule(text string) (*parser, check, error) {
	p := &parser{text: text}
	if len(text) > maxRule {
		return p, nil, &syntaxError{1, fmt.Sprintf("a rule has at most %d bytes", maxRule)}
	}
	p.words = words(text)
	if len(p.words) == 0 {
		return p, constant(true), nil
	}
	c, err := p.or(0)
	if err == nil && len(p.words) > 0 {
		err = p.wrong("expected \"and\" or \"or\", found %q", p.words[0].text)
	}
	return p, c, err
}

func (p *parser) wrong(format string, args ...any) error {
	column := len(p.text) + 1
	if len(p.words) > 0 {
		column = p.words[0].column
	}
	return &syntaxError{column, fmt.Sprintf(format, args...)}
}

// take reads a word if it is the one that is named, in either case.
func (p *parser) take(name string) bool {
	if len(p.words) > 0 && strings.EqualFold(p.words[0].text, name) {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *parser) or(depth int) (check, error) {
	c, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	list := anyOf{c}
	for p.take("or") {
		if c, err = p.and(depth); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) and(depth int) (check, error) {
	c, err := p.one(depth)
	if err != nil {
		return nil, err
	}
	list := allOf{c}
	for p.take("and") {
		if c, err = p.one(depth); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) one(depth int) (check, error) {
	if depth > maxDepth {
		return nil, p.wrong("more than %d levels of parentheses and \"not\"", maxDepth)
	}
	switch {
	case len(p.words) == 0:
		return nil, p.wrong("the rule ends where a check is expected")
	case p.take("not"):
		c, err := p.one(depth + 1)
		return not{c}, err
	case p.take("("):
		c, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = p.wrong("a parenthesis is not closed")
		}
		return c, err
	}
	c, err := p.check(p.words[0].text)
	if err == nil {
		p.words = p.words[1:]
		p.size++
	}
	return c, err
}

// check reads one check.
func (p *parser) check(s string) (check, error) {
	switch s {
	case "@":
		return constant(true), nil
	case "!":
		return constant(false), nil
	}
	kind, match, ok := strings.Cut(s, ":")
	if !ok || kind == "" {
		return nil, p.wrong("%q is no check: expected KIND:VALUE, \"@\" or \"!\"", clip(s))
	}
	switch kind {
	case "rule", "role":
		if match == "" || len(match) > maxWord || strings.Contains(match, "%(") {
			return nil, p.wrong("%q names no %s", clip(s), kind)
		}
		if kind == "role" {
			return role(strings.ToLower(match)), nil
		}
		return p.refer(match), nil
	case "http", "https":
		return nil, p.wrong("%q asks another server; such checks are not made", clip(s))
	case "is_admin":
		return p.isAdmin(s, match)
	case "service_roles":
		if match == "" || len(match) > maxWord || strings.Contains(match, "%(") {
			return nil, p.wrong("%q names no role", clip(s))
		}
		return serviceRole(match), nil
	}
	text, err := p.template(match)
	if err != nil {
		return nil, err
	}
	if value, none, ok := pythonLiteral(kind); ok {
		if !none {
			return literal{value, text}, nil
		}
		if len(text) != 3 || text[0] != "" || text[2] != "" {
			return nil, p.wrong("%q: None is compared with one value, None:%%(name)s", clip(s))
		}
		return absent{text[1]}, nil
	}
	of, ok := attributes()[kind]
	if !ok {
		return nil, p.wrong("%q is no attribute of a caller", clip(kind))
	}
	return attribute{of, text}, nil
}

// isAdmin reads "is_admin:True" and "is_admin:False".
func (p *parser) isAdmin(s, match string) (check, error) {
	switch strings.ToLower(match) {
	case "true", "1":
		return p.refer(contextIsAdmin), nil
	case "false", "0":
		return not{p.refer(contextIsAdmin)}, nil
	}
	return nil, p.wrong("%q: is_admin is True or False", clip(s))
}

func (p *parser) refer(name string) *reference {
	r := &reference{name: name}
	p.refs = append(p.refs, r)
	return r
}

// template reads text with %(name)s in it; "%%" stands for "%".
func (p *parser) template(s string) (template, error) {
	if s == "" {
		return nil, p.wrong("there is no value behind the colon")
	}
	out, text := template{}, strings.Builder{}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			text.WriteByte(s[i])
			continue
		}
		rest := s[i:]
		if strings.HasPrefix(rest, "%%") {
			text.WriteByte('%')
			i++
			continue
		}
		end := strings.Index(rest, ")s")
		if !strings.HasPrefix(rest, "%(") || end <= len("%(") {
			return nil, p.wrong("%q: a value of the target is written %%(name)s", clip(s))
		}
		out = append(out, text.String(), rest[len("%("):end])
		text.Reset()
		i += end + len(")s") - 1
	}
	return append(out, text.String()), nil
}

// clip shortens what is shown of a file.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
