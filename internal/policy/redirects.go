package policy

import (
	"fmt"
	"slices"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
)

// redirects judges where a fetch was led. An allowed host answers for where it leads,
// since publishers' mirrors are many; but a host that an entry denies by its name is
// denied also behind it. As everywhere the first entry that matches decides.
func (e *evaluation) redirects(f contract.Fetched) {
	rule := e.rules.sources
	if !rule.set() || rule.any {
		return
	}
	seen := map[string]bool{}
	judge := func(what string, f contract.Fetched) {
		if f.Origin == nil {
			return
		}
		led := []string{f.Origin.URL}
		if cloud := cloudOf(f, f.URL); cloud != f.URL {
			led = append(led, cloud)
		}
		for _, to := range slices.Concat(led, f.Origin.Redirects, f.Origin.Others) {
			if to != "" && !seen[what+to] {
				seen[what+to] = true
				e.redirect(rule, what, to)
			}
		}
	}
	judge("source", f)
	for _, m := range f.Members {
		judge("member "+m.Name, m.Fetched)
	}
	judge("checksum file or signature", contract.Fetched{Origin: &contract.Origin{Redirects: f.Beside}})
}

func (e *evaluation) redirect(rule placesRule, what, to string) {
	at := locate(to)
	for _, one := range rule.places {
		if !one.matches(at, !one.allow) {
			continue
		}
		if one.allow || one.host == "" || one.host == "*" {
			return
		}
		shown := logging.URL(to)
		e.deny(one.head, refusal{setting: "sources", code: errcode.PolicySource, subject: what + " from " + shown, value: shown, limit: "not " + one.String(),
			message: fmt.Sprintf("the %s was read from %s, which is in a place that is denied", what, shown)})
		return
	}
}
