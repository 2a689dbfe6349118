package policy

import (
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"ingest/internal/contract"
)

// A pattern selects places by scheme, host and path; an empty part selects all.
type pattern struct {
	scheme string
	host   string // "example.org", "*.example.org", "*"; lower case
	port   string // "" means the scheme's own, "*" any
	path   string // prefix of whole elements, begins with a slash
}

// A location is a source's URL, taken apart.
type location struct {
	scheme, host, port, path string
	// crooked says that different programs may see different paths.
	crooked bool
	// via is the scheme of the URL that names this as its service's endpoint, "" if
	// none does.
	via string
}

// ports are the schemes' own.
var ports = map[string]string{"http": "80", "https": "443", "glance": "443"}

// locate takes a URL or a plain path apart, which are told from each other as
// sources.Scheme does. What cannot be understood has no scheme, so that no rule with
// a scheme or host matches it.
func locate(raw string) location {
	if strings.HasPrefix(raw, "/") || !strings.Contains(raw, "://") {
		return location{scheme: "file", path: raw, crooked: crooked(raw)}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return location{crooked: true}
	}
	l := location{scheme: strings.ToLower(u.Scheme), host: plainHost(u.Hostname()), port: u.Port(), path: u.Path}
	if l.port == "" && u.Host != "" {
		l.port = ports[l.scheme]
		// A cloud may be asked without TLS: see package sources/glance.
		if over := u.Query().Get("scheme"); l.scheme == "glance" && over != "" {
			l.port = ports[over]
		}
	}
	if l.path == "" {
		l.path = "/"
	}
	// Some servers decode twice: "%252e" becomes "%2e", which u.Path shows.
	escaped := strings.ToLower(u.EscapedPath() + " " + u.Path)
	l.crooked = crooked(u.Path) || strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") || strings.Contains(escaped, "%2e")
	return l
}

// endpoints returns the services that a URL names for itself: an s3 URL's host is
// only a bucket, and its endpoint says whose (package sources/s3).
func endpoints(raw string) []string {
	u, err := url.Parse(raw)
	if err != nil || strings.HasPrefix(raw, "/") || u.Scheme != "s3" {
		return nil
	}
	return u.Query()["endpoint"]
}

// cloudOf is a glance URL that leaves its host to the credential, with the host that
// was read from: what a rule says of a cloud holds however the request names it. Any
// other URL is returned as it is.
func cloudOf(f contract.Fetched, raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "glance" || u.Host != "" || f.Origin == nil {
		return raw
	}
	at, err := url.Parse(f.Origin.URL)
	if err != nil || at.Host == "" {
		return raw
	}
	u.Host, u.RawQuery = at.Host, "scheme="+at.Scheme
	return u.String()
}

// locateAll is locate for a URL and for the services that it names.
func locateAll(raw string) []location {
	out := []location{locate(raw)}
	for _, at := range endpoints(raw) {
		out = append(out, locateEndpoint(at))
	}
	return out
}

func locateEndpoint(raw string) location {
	l := locate(raw)
	l.via = "s3"
	return l
}

// plainHost is the one spelling of a host: in lower case, without the dot of the DNS
// root, and an address as RFC 5952 writes it.
func plainHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}

// crooked holds for paths with empty or dot segments, also such as "..;a=b", from
// which some servers cut the parameters before they walk (RFC 3986, section 3.3).
func crooked(p string) bool {
	if strings.Contains(p, `\`) || strings.Contains(p, "//") {
		return true
	}
	for part := range strings.SplitSeq(p, "/") {
		if bare, _, cut := strings.Cut(part, ";"); cut && (bare == "" || bare == "." || bare == "..") {
			return true
		}
	}
	return p != "" && strings.TrimSuffix(p, "/") != strings.TrimSuffix(path.Clean(p), "/")
}

// matches reports whether a place is selected, by a rule that denies or demands
// something, or by one that allows. Of a crooked path nobody can tell
// where it leads: it is within every path that denies and within none that
// allows.
func (p pattern) matches(l location, denies bool) bool {
	switch {
	case p.scheme != "" && p.scheme != l.scheme:
		// Who allows a scheme and names no host allows any service of it.
		return !denies && l.via != "" && p.scheme == l.via && p.host == ""
	case p.host != "" && !p.matchesHost(l, denies):
		return false
	case p.path == "":
		return true
	case l.crooked:
		return denies
	}
	prefix := strings.TrimSuffix(p.path, "/")
	return l.path == prefix || strings.HasPrefix(l.path, prefix+"/")
}

// matchesHost holds a pattern without port against the scheme's own port if it
// allows, and against any if it denies.
func (p pattern) matchesHost(l location, denies bool) bool {
	if p.port == "" && !denies && l.port != ports[l.scheme] || p.port != "" && p.port != "*" && p.port != l.port {
		return false
	}
	if p.host == "*" {
		return true
	}
	if tail, ok := strings.CutPrefix(p.host, "*"); ok {
		return len(l.host) > len(tail) && strings.HasSuffix(l.host, tail)
	}
	return l.host == p.host
}

// String writes the pattern as a URL.
func (p pattern) String() string {
	scheme, host, port, tail := p.scheme, p.host, p.port, p.path
	if scheme == "" {
		scheme = "*"
	}
	if host == "" && scheme != "file" {
		host, port = "*", "*"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	if tail == "" {
		tail = "/"
	}
	return scheme + "://" + host + tail
}

// patternFields reads the keys of a pattern.
func (r *reader) patternFields(p *pattern) map[string]field {
	return map[string]field{
		"scheme": func(id string, _, v *yaml.Node) {
			p.scheme = strings.ToLower(r.text(id, v))
			if strings.IndexFunc(p.scheme, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) >= 0 {
				r.bad(v, "%s: %q is no scheme such as https", id, clip(p.scheme))
			}
		},
		"host": func(id string, _, v *yaml.Node) { r.host(p, id, v) },
		"path": func(id string, _, v *yaml.Node) {
			p.path = r.text(id, v)
			if p.path != "" && (p.path[0] != '/' || crooked(p.path) || strings.ContainsAny(p.path, "*?#")) {
				r.bad(v, "%s: %q is no plain path; it begins with a slash, is a prefix of whole folders, and has no wildcards", id, clip(p.path))
			}
		},
	}
}

// host reads HOST, HOST:PORT, *.HOST or *.
func (r *reader) host(p *pattern, id string, v *yaml.Node) {
	s := strings.ToLower(r.text(id, v))
	name, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		name, port = s[:i], s[i+1:]
		if port == "" || port != "*" && strings.Trim(port, "0123456789") != "" {
			r.bad(v, "%s: %q has no port behind the colon; write a number or *", id, clip(s))
		}
	}
	p.host, p.port = plainHost(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")), port
	rest := p.host
	if rest != "*" {
		rest = strings.TrimPrefix(rest, "*.")
	}
	if s != "" && rest != "*" && (rest == "" || strings.ContainsAny(rest, "*/@ ?#\\")) {
		r.bad(v, "%s: %q is not of the form host, *.domain or *, each with or without :port", id, clip(s))
	}
}

// sources reads the places from which may be imported, or "any".
func (r *reader) sources(id string, key, n *yaml.Node) placesRule {
	out := placesRule{head: head{id, key.Line}}
	if n.Kind == yaml.ScalarNode && n.Value == "any" {
		out.any = true
		return out
	}
	r.sequence(id, n, func(id string, n *yaml.Node) {
		one := placeRule{head: head{id, n.Line}}
		action := ""
		known := r.patternFields(&one.pattern)
		known["action"] = func(id string, _, v *yaml.Node) { action = r.word(id, v, []string{"allow", "deny"}) }
		r.mapping(id, n, known)
		if action == "" && n.Kind == yaml.MappingNode {
			r.bad(n, "%s: says neither \"action: allow\" nor \"action: deny\"", id)
		}
		one.allow = action == "allow"
		out.places = append(out.places, one)
	})
	return out
}

// require reads what must be verified of which places, or "none".
func (r *reader) require(id string, key, n *yaml.Node) requireRule {
	out := requireRule{head: head{id, key.Line}}
	if n.Kind == yaml.ScalarNode && n.Value == "none" {
		out.any = true
		return out
	}
	r.sequence(id, n, func(id string, n *yaml.Node) {
		one := demandRule{head: head{id, n.Line}}
		known := r.patternFields(&one.pattern)
		known["need"] = func(id string, _, v *yaml.Node) { one.need = r.words(id, v, r.oneOf(needNames)) }
		known["algorithms"] = func(id string, _, v *yaml.Node) { one.algorithms = r.words(id, v, r.oneOf(digestNames)) }
		known["keyrings"] = func(id string, _, v *yaml.Node) { one.keyrings = r.words(id, v, r.text) }
		r.mapping(id, n, known)
		switch {
		case n.Kind != yaml.MappingNode:
		case len(one.need) == 0:
			r.bad(n, "%s: does not say what it needs: %s", id, strings.Join(needNames, ", "))
		case slices.Contains(one.need, "none") && len(one.need) > 1:
			r.bad(n, "%s: \"none\" stands alone", id)
		case len(one.keyrings) > 0 && !slices.Contains(one.need, "signature"):
			r.bad(n, "%s: keyrings belong to \"need: signature\"", id)
		}
		if one.algorithms == nil {
			one.algorithms = sturdy()
		}
		out.places = append(out.places, one)
	})
	return out
}

// properties reads what images are given.
func (r *reader) properties(id string, n *yaml.Node) []propertyRule {
	var out []propertyRule
	r.each(id, n, func(id string, key, v *yaml.Node) {
		one := propertyRule{head: head{id, key.Line}, name: key.Value}
		if why := badProperty(key.Value); why != "" {
			r.bad(key, "%s: %q %s", id, clip(key.Value), why)
		}
		if v.Kind == yaml.ScalarNode {
			one.value = r.text(id, v)
		} else {
			given := false
			r.mapping(id, v, map[string]field{
				"value":    func(id string, _, v *yaml.Node) { given, one.value = true, r.text(id, v) },
				"override": func(id string, _, v *yaml.Node) { one.override = r.truth(id, v) },
			})
			if !given && v.Kind == yaml.MappingNode {
				r.bad(v, "%s: has no value", id)
			}
		}
		out = append(out, one)
	})
	slices.SortFunc(out, func(a, b propertyRule) int { return strings.Compare(a.name, b.name) })
	return out
}

// own are the members of an image that are no properties.
var own = []string{"id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value", "owner",
	"size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "deleted", "deleted_at", "tags", "min_ram",
	"min_disk", "self", "file", "schema", "direct_url", "locations", "location", "stores"}

// badProperty says why a name is no property's, "" if it is one.
func badProperty(name string) string {
	switch {
	case name == "" || len([]rune(name)) > maxName:
		return "is not 1 to 255 characters long"
	case slices.Contains(own, strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "os_glance"):
		return "is a field of every image and no property"
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return "has a control character"
	}
	return ""
}
