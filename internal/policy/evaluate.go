package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
)

// A Finding is what a stage found, as far as a policy judges it.
type Finding struct {
	Code     errcode.Code
	Message  string
	Evidence *errcode.Evidence
}

// A Validation is what is known of one disk once it has been looked at.
type Validation struct {
	Request  contract.ImportRequest // as it was accepted
	Fetched  contract.Fetched
	Detected contract.Detected
	Target   contract.TargetSpec // with nothing left open
	Disk     int                 // as in contract.ValidateParams
	Facts    map[string]string   // properties that inspection found, such as os_distro
	Findings []Finding
	Stores   []string // all that the image is brought into, if they are several
}

// An evaluation collects the verdicts at one point.
type evaluation struct {
	p      *Policy
	rules  ruleset
	roles  []string
	report contract.PolicyReport
}

func (p *Policy) begin(point string, r contract.ImportRequest, disk int) *evaluation {
	e := &evaluation{p: p, roles: r.Roles}
	e.report = contract.PolicyReport{Point: point, Disk: disk, Project: projectOf(r.Owner), Roles: r.Roles, Verdicts: []contract.PolicyVerdict{}}
	if p != nil {
		e.report.Policy, e.report.Digest = p.name, p.digest
		e.rules = p.of(e.report.Project)
	}
	return e
}

// Submission judges what a request says.
func (p *Policy) Submission(r contract.ImportRequest) contract.PolicyReport {
	e := p.begin(contract.PolicySubmission, r, 0)
	e.sources(r.Source)
	if f := strings.ToLower(r.Source.Format); f != "" {
		e.sourceFormat(f, "")
	}
	if f := strings.ToLower(r.Target.Format); slices.Contains(formatNames, f) {
		e.targetFormat(f)
	}
	e.offered(r.Source)
	e.stores(append([]string{r.Target.Store}, r.Stores...)...)
	return e.report
}

// Copy judges the stores that an image shall be copied to. Where its bytes are from was
// judged when it was imported.
func (p *Policy) Copy(r contract.ImportRequest, targets []string) contract.PolicyReport {
	e := p.begin(contract.PolicySubmission, r, 0)
	e.stores(targets...)
	return e.report
}

// stores judges the stores that bytes are put into; "" is the default one, whose name is
// not known yet.
func (e *evaluation) stores(names ...string) {
	for _, name := range names {
		if name != "" {
			e.member(e.rules.stores, "stores", errcode.PolicyStore, "store", name, func(allowed string) bool { return allowed == name })
		}
	}
}

// Validation judges what was found.
func (p *Policy) Validation(v Validation) contract.PolicyReport {
	e := p.begin(contract.PolicyValidation, v.Request, v.Disk)
	disk := v.Detected.Disk(v.Disk)
	if v.Disk <= 1 {
		e.around(v)
		if v.Fetched.URL != "" { // else nothing has been fetched, as in a dry run
			e.redirects(v.Fetched)
			e.verified(v.Request.Source, v.Fetched)
		}
		e.limit(e.rules.sourceBytes, "source size", v.Fetched.SourceBytes(), "bytes")
	}
	e.sourceFormat(disk.Format, disk.Subformat)
	if t := v.Target.StoredAs(); t != "" {
		e.targetFormat(t)
	}
	if v.Disk <= 1 {
		if len(v.Stores) > 0 {
			e.stores(v.Stores...)
		} else {
			e.stores(v.Target.Store)
		}
	}
	e.limit(e.rules.virtualSize, "virtual size", disk.VirtualSize, "bytes")
	if size := v.Fetched.SourceBytes(); size > 0 {
		e.limit(e.rules.ratio, "virtual size by source size", (disk.VirtualSize+size-1)/size, "to 1")
	}
	e.findings(v.Findings)
	if v.Disk <= 1 || disk.Boot {
		e.guest(v.Facts)
	}
	return e.report
}

// Activation judges once more where the bytes are from and what was verified of
// them, by the rules in force at that moment, and names the properties that the
// images are given.
func (p *Policy) Activation(a contract.ActivateParams) contract.PolicyReport {
	e := p.begin(contract.PolicyActivation, a.Request, 0)
	e.sources(a.Request.Source)
	e.redirects(a.Fetched)
	if a.Fetched.URL != "" {
		e.verified(a.Request.Source, a.Fetched)
	}
	e.targetFormat(a.Target.StoredAs())
	e.stores(a.Stored.Store)
	for _, c := range a.Copies {
		e.stores(c.Store)
	}
	for _, r := range e.rules.properties {
		how := "where nobody has set it"
		if r.override {
			how = "whatever else is set"
		}
		e.add(r.head, contract.PolicyVerdict{Subject: "property " + r.name, Outcome: contract.PolicyInject,
			Message: fmt.Sprintf("the image gets %s=%s, %s", r.name, clip(r.value), how)})
	}
	return e.report
}

// Properties returns the properties that images of a project get: those that
// stand where nobody has set any, and those that stand above everything.
func (p *Policy) Properties(owner string) (defaults, overrides map[string]string) {
	if p == nil {
		return nil, nil
	}
	defaults, overrides = map[string]string{}, map[string]string{}
	for _, r := range p.of(projectOf(owner)).properties {
		if r.override {
			overrides[r.name] = r.value
		} else {
			defaults[r.name] = r.value
		}
	}
	return defaults, overrides
}

// add keeps a verdict of a rule.
func (e *evaluation) add(h head, v contract.PolicyVerdict) {
	v.Rule, v.At = h.id, e.p.name+":"+strconv.Itoa(h.line)
	e.report.Verdicts = append(e.report.Verdicts, v)
}

// allow keeps that a rule allows.
func (e *evaluation) allow(h head, subject, format string, args ...any) {
	e.add(h, contract.PolicyVerdict{Subject: subject, Outcome: contract.PolicyAllow, Message: fmt.Sprintf(format, args...)})
}

// A refusal is what a rule has against a subject.
type refusal struct {
	setting string // whose exemption counts
	code    errcode.Code
	subject string
	value   string
	limit   string
	message string
	remedy  string // "" means that of the code
}

// deny keeps that a rule denies, unless a role is exempt or the code is soft.
func (e *evaluation) deny(h head, r refusal) {
	v := contract.PolicyVerdict{Subject: r.subject, Outcome: contract.PolicyDeny, Code: r.code, Message: r.message, Remedy: r.remedy,
		Evidence: &errcode.Evidence{Structure: "policy", Field: h.id, Value: r.value, Limit: r.limit}}
	if v.Remedy == "" {
		v.Remedy = errcode.Lookup(r.code).Remedy
	}
	if role, ok := e.exempt(r.setting); ok {
		v.Outcome, v.Exempt, v.Code, v.Remedy = contract.PolicyAllow, role, "", ""
		v.Message += "; the role " + strconv.Quote(role) + " is exempt"
	} else if slices.Contains(e.rules.soft.values, string(r.code)) {
		v.Outcome = contract.PolicyWarn
		v.Message += fmt.Sprintf("; %s:%d makes that a warning", e.p.name, e.rules.soft.line)
	}
	e.add(h, v)
}

// exempt returns the role that is free of a setting.
func (e *evaluation) exempt(setting string) (string, bool) {
	for _, role := range e.roles {
		if x, ok := e.rules.exempt[role]; ok && (x.all || slices.Contains(x.names, setting)) {
			return role, true
		}
	}
	return "", false
}

// A place is a URL of a request, with what it is for.
type place struct {
	what, url string
	at        location
}

// places lists every URL of a request that is fetched.
func places(s contract.SourceSpec) []place {
	var out []place
	add := func(what, url string) {
		out = append(out, place{what, url, locate(url)})
		for _, at := range endpoints(url) {
			out = append(out, place{what + "'s endpoint", at, locateEndpoint(at)})
		}
	}
	add("source", s.URL)
	for _, m := range s.Mirrors {
		add("mirror", m)
	}
	for _, m := range s.Members {
		add("member", m.URL)
	}
	if s.ChecksumFile != "" && s.ChecksumFile != "auto" {
		add("checksum file", s.ChecksumFile)
	}
	if s.Signature != "" && s.Signature != "auto" {
		add("signature", s.Signature)
	}
	return out
}

// sources judges where a request's files are.
func (e *evaluation) sources(s contract.SourceSpec) {
	rule := e.rules.sources
	if !rule.set() {
		return
	}
	for _, p := range places(s) {
		shown := logging.URL(p.url)
		subject := p.what + " " + shown
		if rule.any {
			e.allow(rule.head, subject, "any place is allowed")
			continue
		}
		e.source(rule, p, shown, subject)
	}
}

// source judges one place: the first pattern that matches decides.
func (e *evaluation) source(rule placesRule, p place, shown, subject string) {
	var allowed []string
	for _, one := range rule.places {
		if one.allow {
			allowed = append(allowed, one.String())
		}
		if !one.matches(p.at, !one.allow) {
			continue
		}
		if one.allow {
			e.allow(one.head, subject, "%s is allowed", one.String())
			return
		}
		e.deny(one.head, refusal{setting: "sources", code: errcode.PolicySource, subject: subject, value: shown, limit: "not " + one.String(),
			message: fmt.Sprintf("the %s %s is in a place that is denied", p.what, shown)})
		return
	}
	e.deny(rule.head, refusal{setting: "sources", code: errcode.PolicySource, subject: subject, value: shown, limit: clipList(allowed),
		message: fmt.Sprintf("the %s %s is in no place that is allowed", p.what, shown)})
}

// clipList shows a list of what is allowed.
func clipList(all []string) string {
	const most = 12
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}

// member judges a word by a list.
func (e *evaluation) member(rule listRule, setting string, code errcode.Code, what, value string, fits func(allowed string) bool) {
	if !rule.set() {
		return
	}
	subject := what + " " + value
	if rule.any || slices.ContainsFunc(rule.values, fits) {
		e.allow(rule.head, subject, "%s %s is allowed", what, value)
		return
	}
	e.deny(rule.head, refusal{setting: setting, code: code, subject: subject, value: value, limit: clipList(rule.values),
		message: fmt.Sprintf("the %s %s is not allowed", what, value)})
}

// sourceFormat judges a format, and a subformat where one is known.
func (e *evaluation) sourceFormat(format, sub string) {
	value := format
	if sub != "" {
		value += "/" + sub
	}
	e.member(e.rules.sourceFormats, "source_formats", errcode.PolicyFormat, "source format", value, func(allowed string) bool {
		f, s, cut := strings.Cut(allowed, "/")
		// A request that declares a format leaves its subformat to detection.
		return f == format && (!cut || sub == "" && e.report.Point == contract.PolicySubmission || strings.EqualFold(s, sub))
	})
}

func (e *evaluation) targetFormat(format string) {
	e.member(e.rules.targetFormats, "target_formats", errcode.PolicyFormat, "target format", format, func(allowed string) bool { return allowed == format })
}

// around judges what is around the disks.
func (e *evaluation) around(v Validation) {
	for _, one := range []struct {
		rule                   listRule
		setting, what, present string
	}{
		{e.rules.containers, "containers", "container", v.Detected.Container},
		{e.rules.compressions, "compressions", "compression", v.Fetched.Layer},
	} {
		found := one.present
		if found == "" {
			found = "none"
		}
		e.member(one.rule, one.setting, errcode.PolicyContainer, one.what, found, func(allowed string) bool { return allowed == found })
	}
}

// limit judges a number.
func (e *evaluation) limit(rule limitRule, what string, got int64, unit string) {
	if !rule.set() {
		return
	}
	subject := fmt.Sprintf("%s %d %s", what, got, unit)
	if rule.any || got <= rule.max {
		e.allow(rule.head, subject, "the %s is within the limit", what)
		return
	}
	e.deny(rule.head, refusal{setting: "limits", code: errcode.PolicyLimit, subject: subject, value: fmt.Sprint(got), limit: fmt.Sprint(rule.max),
		message: fmt.Sprintf("the %s is %d %s, and %d %s are allowed", what, got, unit, rule.max, unit)})
}

// findings judges what the stages found: a code that is hard refuses, and what a
// soft code has let pass is said.
func (e *evaluation) findings(all []Finding) {
	seen := map[errcode.Code]bool{}
	for _, f := range all {
		hard := slices.Contains(e.rules.hard.values, string(f.Code))
		soft := slices.Contains(e.rules.soft.values, string(f.Code))
		if seen[f.Code] || !hard && !soft {
			continue
		}
		seen[f.Code] = true
		subject := "finding " + string(f.Code)
		if hard {
			r := refusal{setting: "codes", code: errcode.PolicyFinding, subject: subject, value: string(f.Code),
				limit: clipList(e.rules.hard.values), message: fmt.Sprintf("the finding %s refuses the image: %s", f.Code, f.Message),
				remedy: errcode.Lookup(f.Code).Remedy}
			e.deny(e.rules.hard.head, r)
			continue
		}
		e.add(e.rules.soft.head, contract.PolicyVerdict{Subject: subject, Outcome: contract.PolicyWarn, Code: f.Code,
			Message: f.Message, Evidence: f.Evidence, Remedy: errcode.Lookup(f.Code).Remedy})
	}
}

// guest judges what is on the disk.
func (e *evaluation) guest(facts map[string]string) {
	lenient := slices.Contains(e.rules.guestMissing.values, "allow")
	for _, rule := range e.rules.guest {
		name := lastKey(rule.id)
		value, known := facts[name]
		if !known && !rule.any {
			subject := "guest " + name + " unknown"
			if lenient {
				e.allow(e.rules.guestMissing.head, subject, "%s was not found, which is allowed", name)
				continue
			}
			e.deny(rule.head, refusal{setting: "guest", code: errcode.PolicyGuest, subject: subject, limit: clipList(rule.values),
				message: name + " was not found on the disk"})
			continue
		}
		e.member(rule, "guest", errcode.PolicyGuest, "guest "+name, value, func(allowed string) bool { return allowed == value })
	}
}
