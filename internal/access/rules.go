package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"ingest/internal/identity"
)

// maxCost is how many checks a rule may come to with all that it refers to.
const maxCost = 10_000

// A Rule is one rule as it is in force.
type Rule struct {
	Name        string   `json:"name"`
	Check       string   `json:"check"`
	Description string   `json:"description,omitempty"`
	Routes      []string `json:"routes,omitempty"`  // "GET /v2/images"
	Source      string   `json:"source"`            // "default", or file and line
	Default     string   `json:"default,omitempty"` // what stands here otherwise, if a file says something else
}

// A Problem is one thing that is wrong with a file.
type Problem struct {
	Line    int    `json:"line"` // from 1; 0 if it is the whole file
	Message string `json:"message"`
}

// Rules are what callers may do. They never change, and can be asked by many at once.
type Rules struct {
	name   string
	digest string
	rules  map[string]*compiled
	unused []Problem
}

// compiled is a rule with its tree.
type compiled struct {
	Rule
	line int // in the file; 0 for a default
	tree check
	refs []*reference
	size int
	cost int // 0 until it is known, -1 while it is worked out
}

// Standard returns the rules that are in force where callers are authenticated: those
// of Glance, and ours.
func Standard() *Rules { return builtIn("standard", standard()) }

// Open returns the rules that are in force where nobody is authenticated: whoever
// reaches the server is its operator, and a project only keeps things apart.
func Open() *Rules {
	list := standard()
	for i, r := range list {
		if check, ok := opened()[r.Name]; ok {
			list[i].Check = check
		}
	}
	return builtIn("open", list)
}

func builtIn(name string, list []Rule) *Rules {
	r, problems := build(name, list, nil)
	if len(problems) > 0 {
		panic(fmt.Sprintf("access: the %s rules are wrong: %v", name, problems))
	}
	return r
}

// build compiles and links rules. file holds the rules of a file, in its order.
func build(name string, defaults []Rule, file []compiled) (*Rules, []Problem) {
	b := builder{rules: &Rules{name: name, rules: map[string]*compiled{}}}
	for _, r := range defaults {
		r.Source = "default"
		b.add(&compiled{Rule: r})
	}
	for i := range file {
		c := &file[i]
		if was, ok := b.rules.rules[c.Name]; ok {
			c.Description, c.Routes, c.Default = was.Description, was.Routes, was.Check
		}
		b.add(c)
	}
	names := slices.Sorted(maps.Keys(b.rules.rules))
	for _, name := range names {
		b.link(b.rules.rules[name])
	}
	if len(b.problems) == 0 {
		for _, name := range names {
			b.weigh(b.rules.rules[name])
		}
	}
	slices.SortStableFunc(b.problems, func(x, y Problem) int { return x.Line - y.Line })
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	b.rules.unused = unused(b.rules, file)
	b.rules.digest = digest(b.rules)
	return b.rules, nil
}

type builder struct {
	rules    *Rules
	problems []Problem
}

func (b *builder) bad(c *compiled, format string, args ...any) {
	const most = 50
	if len(b.problems) < most {
		b.problems = append(b.problems, Problem{c.line, fmt.Sprintf("%q: %s", clip(c.Name), fmt.Sprintf(format, args...))})
	}
}

func (b *builder) add(c *compiled) {
	p, tree, err := parseRule(c.Check)
	if err != nil {
		b.bad(c, "%v", err)
		tree = constant(false)
	}
	c.tree, c.refs, c.size = tree, p.refs, p.size
	b.rules.rules[c.Name] = c
}

func (b *builder) link(c *compiled) {
	for _, ref := range c.refs {
		other, ok := b.rules.rules[ref.name]
		if !ok {
			b.bad(c, "there is no rule %q", clip(ref.name))
			continue
		}
		ref.tree = other.tree
	}
}

// weigh counts the checks that judging a rule may take, and finds circles.
func (b *builder) weigh(c *compiled) int {
	switch {
	case c.cost > 0:
		return c.cost
	case c.cost < 0:
		b.bad(c, "the rule refers to itself, perhaps through others")
		return 1
	}
	c.cost = -1
	cost := 1 + c.size
	for _, ref := range c.refs {
		if cost += b.weigh(b.rules.rules[ref.name]); cost > maxCost {
			b.bad(c, "with all that it refers to, the rule has more than %d checks", maxCost)
			cost = maxCost
			break
		}
	}
	c.cost = cost
	return cost
}

// unused finds rules of a file that nobody asks for: names that were misspelt.
func unused(r *Rules, file []compiled) []Problem {
	asked := map[string]bool{}
	for _, c := range r.rules {
		for _, ref := range c.refs {
			asked[ref.name] = true
		}
	}
	var out []Problem
	for _, c := range file {
		if c.Description == "" && !asked[c.Name] {
			out = append(out, Problem{c.line, fmt.Sprintf("%q: nothing asks for this rule, and no other refers to it", clip(c.Name))})
		}
	}
	return out
}

func digest(r *Rules) string {
	h := sha256.New()
	for _, rule := range r.List() {
		fmt.Fprintf(h, "%q:%q\n", rule.Name, rule.Check)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Allows reports whether a caller may do with a target what the rule says. A rule that
// there is not allows nothing.
func (r *Rules) Allows(name string, c identity.Caller, t Target) bool {
	rule, ok := r.rules[name]
	return ok && rule.tree.holds(&question{c, t})
}

// Administers reports whether a caller is an administrator, who sees what belongs to
// others.
func (r *Rules) Administers(c identity.Caller) bool {
	return r.Allows(contextIsAdmin, c, NewTarget(c.Project))
}

// Rule returns the rule of a name.
func (r *Rules) Rule(name string) (Rule, bool) {
	c, ok := r.rules[name]
	if !ok {
		return Rule{}, false
	}
	return c.Rule, true
}

// List returns all rules by name.
func (r *Rules) List() []Rule {
	out := make([]Rule, 0, len(r.rules))
	for _, name := range slices.Sorted(maps.Keys(r.rules)) {
		out = append(out, r.rules[name].Rule)
	}
	return out
}

// Digest tells sets of rules apart.
func (r *Rules) Digest() string { return r.digest }

// Name is the file's, or that of the built-in set.
func (r *Rules) Name() string { return r.name }

// Unused lists rules of the file that nothing asks for: probably misspelt names.
func (r *Rules) Unused() []Problem { return r.unused }
