package glance

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"ingest/internal/errcode"
)

// A location is a glance URL taken apart.
type location struct {
	base      string // "https://HOST[:PORT][/PREFIX]", "" for where the credential's cloud has it
	id, name  string // one of them
	region    string
	endpoints string // which kind of: "public", "internal", "admin", "" for the credential's
}

// maxURL bounds a URL's length, bytes.
const maxURL = 8 << 10

// maxName bounds an image's name, characters: Glance's own bound.
const maxName = 255

// parse takes a glance URL apart.
func parse(raw string) (location, error) {
	var loc location
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Scheme != Name || u.Opaque != "" || !strings.HasPrefix(raw, Name+"://") {
		return loc, invalid("it is written glance://HOST/IMAGE, or glance:///IMAGE with a credential")
	}
	if u.User != nil {
		return loc, invalid("it holds user info; name a credential instead")
	}
	if strings.Contains(raw, "#") {
		return loc, invalid("it holds a fragment; write # in a name as %%23")
	}
	prefix, last, ok := cutLast(u.EscapedPath())
	if !ok || loc.image(last) != nil {
		return loc, invalid("it ends in an image's id or name, of which / is written %%2F")
	}
	scheme, err := loc.query(u.RawQuery)
	if err != nil {
		return loc, err
	}
	switch {
	case u.Host != "":
		loc.base = scheme + "://" + u.Host + prefix
	case prefix != "" || u.Query().Has("scheme"):
		return loc, invalid("it has a path or a scheme without a host")
	}
	return loc, nil
}

// cutLast cuts a path before its last element.
func cutLast(path string) (before, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// image reads the id or the name.
func (l *location) image(escaped string) error {
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" || !validName(name) {
		return invalid("its name cannot be one")
	}
	if id, err := uuid.Parse(name); err == nil && len(name) == 36 {
		l.id = id.String()
		return nil
	}
	// Glance reads such a name as a list of names.
	if strings.HasPrefix(name, "in:") {
		return invalid("its name cannot be asked for")
	}
	l.name = name
	return nil
}

func validName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName && !strings.ContainsFunc(s, unicode.IsControl)
}

// query reads what stands behind the question mark.
func (l *location) query(raw string) (scheme string, err error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return "", invalid("its query cannot be read")
	}
	scheme = "https"
	for k, v := range q {
		if len(v) != 1 || v[0] == "" {
			return "", invalid("it names %s more than once, or empty", errcode.Shown(k))
		}
		ok := true
		switch k {
		case "scheme":
			scheme, ok = v[0], v[0] == "http" || v[0] == "https"
		case "interface":
			l.endpoints, ok = v[0], v[0] == "public" || v[0] == "internal" || v[0] == "admin"
		case "region":
			l.region, ok = v[0], len(v[0]) <= maxName && validName(v[0])
		default:
			return "", invalid("it takes region, interface and scheme, not %s", errcode.Shown(k))
		}
		if !ok {
			return "", invalid("its %s cannot be %s", k, errcode.Shown(v[0]))
		}
	}
	return scheme, nil
}

// validText holds for what a catalogue keeps: a newline is as good as a letter.
func validText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' })
}

func invalid(format string, args ...any) error {
	return errcode.New(errcode.SourceURLInvalid, "the source's URL is refused: "+format, args...)
}
