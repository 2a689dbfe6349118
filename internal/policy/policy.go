package policy

import (
	"maps"
	"slices"
	"sort"
)

// A Policy is a parsed file. It never changes and is safe for concurrent use. A
// nil Policy has no rules and makes empty reports.
type Policy struct {
	name     string // of the file, without folder
	digest   string // "sha256:HEX" of its bytes
	defaults ruleset
	projects map[string]ruleset
}

// Name returns the name of the policy's file, without its folder.
func (p *Policy) Name() string { return p.name }

// Digest returns the digest of the policy's file, "sha256:HEX".
func (p *Policy) Digest() string { return p.digest }

// Projects lists the projects with settings of their own, sorted.
func (p *Policy) Projects() []string { return slices.Sorted(maps.Keys(p.projects)) }

// A head says where a setting stands. Its line is 0 if it is not set.
type head struct {
	id   string // such as "projects.acme.limits.virtual_size"
	line int
}

func (h head) set() bool { return h.line > 0 }

// A ruleset is the settings of the defaults, or of one project.
type ruleset struct {
	exempt map[string]exemption // by role

	sourceFormats, targetFormats listRule
	containers, compressions     listRule
	sources                      placesRule
	virtualSize, sourceBytes     limitRule
	ratio                        limitRule
	hard, soft                   listRule
	require                      requireRule
	properties                   []propertyRule
	guest                        []listRule // one for each fact
	stores                       listRule   // names
	guestMissing                 listRule   // "allow" or "deny", for a fact that was not found
}

// An exemption frees a role from settings.
type exemption struct {
	head
	all   bool
	names []string // settings, such as "sources"
}

// A listRule names what is allowed.
type listRule struct {
	head
	any    bool
	values []string
}

// A limitRule is a number; any means none.
type limitRule struct {
	head
	any bool
	max int64
}

// A placesRule is an ordered list of places.
type placesRule struct {
	head
	any    bool
	places []placeRule
}

// A placeRule allows or denies a place.
type placeRule struct {
	head
	allow bool
	pattern
}

// A requireRule says what must be verified of which place.
type requireRule struct {
	head
	any    bool // nothing
	places []demandRule
}

// A demandRule says what must be verified of a place's files.
type demandRule struct {
	head
	pattern
	need       []string // any of these; "none" alone
	algorithms []string
	keyrings   []string // nil means any
}

// A propertyRule gives an image a property.
type propertyRule struct {
	head
	name, value string
	override    bool
}

// pick returns own if it is set, else base: a project's setting stands in place
// of the default.
func pick[R interface{ set() bool }](own, base R) R {
	if own.set() {
		return own
	}
	return base
}

// of returns the settings that are in force for a project.
func (p *Policy) of(project string) ruleset {
	own, ok := p.projects[project]
	base := p.defaults
	if !ok {
		return base
	}
	out := ruleset{
		exempt:        maps.Clone(base.exempt),
		sourceFormats: pick(own.sourceFormats, base.sourceFormats),
		targetFormats: pick(own.targetFormats, base.targetFormats),
		containers:    pick(own.containers, base.containers),
		compressions:  pick(own.compressions, base.compressions),
		sources:       pick(own.sources, base.sources),
		virtualSize:   pick(own.virtualSize, base.virtualSize),
		sourceBytes:   pick(own.sourceBytes, base.sourceBytes),
		ratio:         pick(own.ratio, base.ratio),
		hard:          pick(own.hard, base.hard),
		soft:          pick(own.soft, base.soft),
		stores:        pick(own.stores, base.stores),
		require:       pick(own.require, base.require),
		guestMissing:  pick(own.guestMissing, base.guestMissing),
	}
	if out.exempt == nil {
		out.exempt = map[string]exemption{}
	}
	maps.Copy(out.exempt, own.exempt)
	out.properties = merged(own.properties, base.properties, func(r propertyRule) string { return r.name })
	out.guest = merged(own.guest, base.guest, func(r listRule) string { return lastKey(r.id) })
	return out
}

// merged returns own, and what base has under other names, by name.
func merged[R any](own, base []R, name func(R) string) []R {
	out := slices.Clone(own)
	for _, b := range base {
		if !slices.ContainsFunc(own, func(o R) bool { return name(o) == name(b) }) {
			out = append(out, b)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return name(out[i]) < name(out[j]) })
	return out
}

// Soft lists the codes that warn instead of refusing an image of the project.
func (p *Policy) Soft(project string) []string {
	if p == nil {
		return nil
	}
	return p.of(projectOf(project)).soft.values
}

// projectOf is the project of a request that names none.
func projectOf(owner string) string {
	if owner == "" {
		return "default"
	}
	return owner
}
