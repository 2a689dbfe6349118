package verify

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ingest/internal/errcode"
)

// An Entry is one line of a checksum file.
type Entry struct {
	Algo string // "sha256" and so on, also of those that are not taken
	Hex  string // in lower case
	Name string // of the file, as it stands there; "" for a digest alone
	Line int    // from 1
}

// Sums are the entries of a checksum file, in its order.
type Sums []Entry

// ParseSums reads a checksum file. Lines are of the form `HEX  name` or `HEX *name`
// (GNU coreutils, "cksum output modes"; a backslash before the digest says that the
// name is escaped), or `SHA256 (name) = HEX`. The algorithm of the first form is
// told by the digest's length. Comments and lines of other forms are left out, as
// `sha256sum -c` does; a file without any entry is errcode.ChecksumFileInvalid.
func ParseSums(p []byte) (Sums, error) {
	if len(p) > MaxSumsBytes {
		return nil, sumsError("it has more than "+strconv.Itoa(MaxSumsBytes)+" bytes", len(p), 0)
	}
	var out Sums
	for n := 1; len(p) > 0; n++ {
		var line []byte
		line, p, _ = bytes.Cut(p, []byte{'\n'})
		if len(line) > MaxLineBytes {
			return nil, sumsError(fmt.Sprintf("line %d has more than %d bytes", n, MaxLineBytes), len(line), n)
		}
		if e, ok := parseLine(strings.TrimSuffix(string(line), "\r")); ok {
			e.Line = n
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, sumsError("no line of it is a digest and a file name", 0, 0)
	}
	return out, nil
}

func sumsError(what string, size, line int) *errcode.Error {
	ev := errcode.Evidence{Structure: "checksum file"}
	if size > 0 {
		ev.Field, ev.Value = "bytes", strconv.Itoa(size)
	}
	if line > 0 {
		ev.Structure = "checksum file, line " + strconv.Itoa(line)
	}
	return errcode.New(errcode.ChecksumFileInvalid, "the checksum file cannot be used: %s", what).With(ev)
}

// parseLine reads one line of any form.
func parseLine(s string) (Entry, bool) {
	body, escaped := strings.CutPrefix(s, `\`)
	if strings.HasPrefix(body, "#") {
		return Entry{}, false
	}
	e, ok := parseGNU(body)
	if !ok {
		e, ok = parseBSD(body)
	}
	if ok && escaped {
		e.Name, ok = unescape(e.Name)
	}
	return e, ok
}

// parseGNU reads `HEX  name`, `HEX *name`, `HEX name`, or a digest alone.
func parseGNU(s string) (Entry, bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		i = len(s)
	}
	digest, name := s[:i], s[i:]
	algo := algoOf(len(digest))
	if algo == "" || !isHex(digest) {
		return Entry{}, false
	}
	e := Entry{Algo: algo, Hex: strings.ToLower(digest)}
	if strings.TrimSpace(name) == "" {
		return e, true
	}
	name = name[1:]
	if name[0] == ' ' || name[0] == '*' {
		name = name[1:]
	}
	e.Name = name
	return e, name != ""
}

// parseBSD reads `SHA256 (name) = HEX`, as the BSDs and `sha256sum --tag` write
// it, and without the blanks, as openssl does.
func parseBSD(s string) (Entry, bool) {
	open := strings.IndexByte(s, '(')
	end := strings.LastIndexByte(s, ')')
	if open <= 0 || end <= open+1 {
		return Entry{}, false
	}
	algo := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s[:open]), "-", ""))
	digest, ok := strings.CutPrefix(strings.TrimSpace(s[end+1:]), "=")
	digest = strings.TrimSpace(digest)
	if !ok || !isHex(digest) || !isWord(algo) {
		return Entry{}, false
	}
	if n := digitsOf(algo); n != 0 && n != len(digest) {
		return Entry{}, false
	}
	return Entry{Algo: algo, Hex: strings.ToLower(digest), Name: s[open+1 : end]}, true
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && s != ""
}

// isWord accepts the name of an algorithm.
func isWord(s string) bool {
	return s != "" && len(s) <= 16 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '/'
	})
}

// unescape undoes the escapes of coreutils: \\, \n and \r.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", false
		}
		switch s[i] {
		case '\\':
			b.WriteByte('\\')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", false
		}
	}
	return b.String(), b.Len() > 0
}

// Lookup returns the digests of a file, one for each algorithm that is taken. Names
// are those by which the list may know it, the best first: the first that has
// entries is the one. A name stands for itself, with or without "./" before it, and
// for nothing else. MD5 is taken only if md5 says so, and nothing better is there.
//
// No entry is errcode.ChecksumEntryMissing, two digests of one algorithm are
// errcode.ChecksumEntries, and entries of other algorithms alone
// errcode.ChecksumAlgorithm.
func (s Sums) Lookup(md5 bool, names ...string) ([]Digest, error) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	for _, name := range names {
		if found := s.named(name); len(found) > 0 {
			return found.digests(name, md5)
		}
	}
	return nil, errcode.New(errcode.ChecksumEntryMissing, "the checksum file has no entry for %s", quote(names)).
		With(errcode.Evidence{Structure: "checksum file", Field: "file name", Value: clip(strings.Join(names, ", ")), Limit: s.sample()})
}

// Alone returns the digests of a file that holds one digest and no name, as some
// publishers write NAME.sha256. It has the name that is given to it.
func (s Sums) Alone(name string) Sums {
	if len(s) != 1 || s[0].Name != "" {
		return s
	}
	e := s[0]
	e.Name = name
	return Sums{e}
}

// named returns the entries of a file.
func (s Sums) named(name string) Sums {
	var out Sums
	name = plain(name)
	for _, e := range s {
		if e.Name != "" && plain(e.Name) == name {
			out = append(out, e)
		}
	}
	return out
}

// plain takes the "./" off a name.
func plain(name string) string {
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	return name
}

// digests returns those of one file's entries that are taken.
func (s Sums) digests(name string, md5 bool) ([]Digest, error) {
	var out, weak []Digest
	var refused []string
	for _, e := range s {
		d := Digest{e.Algo, e.Hex}
		switch {
		case !taken(e.Algo, md5):
			refused = append(refused, e.Algo)
		case e.Algo == MD5:
			weak = append(weak, d)
		default:
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		out = weak
	}
	if len(out) == 0 {
		return nil, errcode.New(errcode.ChecksumAlgorithm, "the checksum file has only a digest of %s for %q", refused[0], clip(name)).
			With(errcode.Evidence{Structure: "checksum file, line " + strconv.Itoa(s[0].Line), Field: "algorithm", Value: refused[0], Limit: forms(md5)})
	}
	return single(out, name)
}

// single keeps one digest of each algorithm.
func single(ds []Digest, name string) ([]Digest, error) {
	var out []Digest
	for _, d := range ds {
		known := false
		for _, o := range out {
			if o.Algo != d.Algo {
				continue
			}
			if known = true; o.Hex != d.Hex {
				return nil, errcode.New(errcode.ChecksumEntries, "the checksum file gives %q two digests of %s", clip(name), d.Algo).
					With(errcode.Evidence{Structure: "checksum file", Field: d.Algo, Value: d.Hex, Limit: o.Hex})
			}
		}
		if !known {
			out = append(out, d)
		}
	}
	return out, nil
}

// sample shows some of the names that are there.
func (s Sums) sample() string {
	const most = 5
	var names []string
	for i, e := range s {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(s)-most))
			break
		}
		names = append(names, clip(e.Name))
	}
	return strings.Join(names, ", ")
}

func quote(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, strconv.Quote(clip(n)))
	}
	if len(out) == 0 {
		return "a file whose URL ends in no name"
	}
	return strings.Join(out, " or ")
}
