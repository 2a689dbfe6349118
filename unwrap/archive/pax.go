package archive

import (
	"strconv"
	"strings"

	"ingest/internal/errcode"
)

// maxPax bounds an extended header. Honest ones have times and a name.
const maxPax = 64 << 10

// A header of ustar takes sizes below this, and names of so many bytes.
const (
	ustarSize = 1 << 33
	ustarName = 100
)

// paxRecords are what an extended header says of the next member.
type paxRecords struct {
	path, size string
	hasPath    bool
	hasSize    bool
	link       string // target of a symbolic link, in a tree
}

// parsePax reads the records of an extended header ("pax Extended Header"). What
// only describes a file (times, owners) is ignored, and what changes where its bytes
// are is refused, apart from what apply allows.
func (t *tarFile) parsePax(body []byte) (*paxRecords, error) {
	out := &paxRecords{}
	for s := string(body); s != ""; {
		digits, _, ok := strings.Cut(s, " ")
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n > uint64(len(s)) || n < uint64(len(digits))+2 || s[n-1] != '\n' {
			return nil, t.broken("pax record", Clip(s), "LENGTH KEY=VALUE")
		}
		key, value, ok := strings.Cut(s[len(digits)+1:n-1], "=")
		if !ok {
			return nil, t.broken("pax record", Clip(s), "LENGTH KEY=VALUE")
		}
		s = s[n:]
		where := t.place("pax record " + Clip(key))
		switch {
		case strings.HasPrefix(key, "GNU.sparse."):
			return nil, where.Refuse(errcode.OVASparse, Clip(value), "regular files", "a member is a sparse file")
		case key == "linkpath" && t.tree && out.link == "":
			out.link = value
		case key == "linkpath":
			return nil, where.Refuse(errcode.OVALink, Clip(value), "regular files", "a member is a link")
		case key == "path" && !out.hasPath:
			out.path, out.hasPath = value, true
		case key == "size" && !out.hasSize:
			out.size, out.hasSize = value, true
		case harmless(key):
		default:
			return nil, where.Refuse(errcode.OVAPax, Clip(value), "path or size once, times, owners", "an extended header has a record %q", Clip(key))
		}
	}
	return out, nil
}

// harmless reports whether a record says nothing of a member's name and bytes.
func harmless(key string) bool {
	switch key {
	case "atime", "ctime", "mtime", "uid", "gid", "uname", "gname", "comment":
		return true
	}
	return strings.HasPrefix(key, "LIBARCHIVE.") || strings.HasPrefix(key, "SCHILY.") && !strings.HasPrefix(key, "SCHILY.realsize")
}

// apply returns name and size of a member. A record that could be in the plain
// header has to say the same as that: otherwise programs that ignore extended
// headers see another archive.
func (x *paxRecords) apply(t *tarFile, name string, size int64) (string, int64, error) {
	if x == nil {
		return name, size, nil
	}
	if x.hasPath && x.path != name {
		if len(x.path) <= ustarName && isASCII(x.path) {
			return "", 0, t.place("pax record path").Refuse(errcode.OVAPax, Clip(x.path), Clip(name), "an extended header gives member %q another name", Clip(name))
		}
		name = x.path
	}
	if x.hasSize {
		n, err := strconv.ParseUint(x.size, 10, 63)
		if err != nil || int64(n) != size && (n < ustarSize || size != 0) {
			return "", 0, t.place("pax record size").Refuse(errcode.OVAPax, Clip(x.size), strconv.FormatInt(size, 10), "an extended header gives member %q another size", Clip(name))
		}
		size = int64(n)
	}
	return name, size, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 })
}
