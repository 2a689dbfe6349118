package policy

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// A Rule is one setting that is in force, for people.
type Rule struct {
	ID   string `json:"rule"`
	At   string `json:"at"` // FILE:LINE
	Line int    `json:"line"`
	Says string `json:"says"`
}

// Rules lists what is in force for a project, in the order of the file; "" lists
// the defaults. A setting of the project stands in place of the default.
func (p *Policy) Rules(project string) []Rule {
	s := p.defaults
	if project != "" {
		s = p.of(project)
	}
	var out []Rule
	add := func(h head, format string, args ...any) {
		if h.set() {
			out = append(out, Rule{ID: h.id, At: p.name + ":" + strconv.Itoa(h.line), Line: h.line, Says: fmt.Sprintf(format, args...)})
		}
	}
	for role, x := range s.exempt {
		if x.all {
			add(x.head, "the role %q is exempt from everything that denies", role)
		} else {
			add(x.head, "the role %q is exempt from %s", role, strings.Join(x.names, ", "))
		}
	}
	for _, l := range append([]listRule{s.sourceFormats, s.targetFormats, s.containers, s.compressions, s.stores, s.hard, s.soft, s.guestMissing}, s.guest...) {
		if l.any {
			add(l.head, "any")
		} else {
			add(l.head, "%s", strings.Join(l.values, ", "))
		}
	}
	for _, l := range []limitRule{s.virtualSize, s.sourceBytes, s.ratio} {
		if l.any {
			add(l.head, "no limit")
		} else {
			add(l.head, "at most %d", l.max)
		}
	}
	describePlaces(s, add)
	for _, r := range s.properties {
		how := "unless it is set"
		if r.override {
			how = "above everything"
		}
		add(r.head, "%s, %s", r.value, how)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Line < out[j].Line })
	return out
}

func describePlaces(s ruleset, add func(h head, format string, args ...any)) {
	if s.sources.any {
		add(s.sources.head, "any place")
	} else {
		add(s.sources.head, "%d places; what none of them names is denied", len(s.sources.places))
	}
	for _, one := range s.sources.places {
		action := "deny "
		if one.allow {
			action = "allow "
		}
		add(one.head, "%s%s", action, one.String())
	}
	if s.require.any {
		add(s.require.head, "nothing")
	} else {
		add(s.require.head, "the first of %d that matches; of other places nothing is demanded", len(s.require.places))
	}
	for _, d := range s.require.places {
		if d.need[0] == "none" {
			add(d.head, "%s: nothing", d.String())
		} else {
			add(d.head, "%s: %s", d.String(), d.wants())
		}
	}
}
