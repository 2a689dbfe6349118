package archive

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"ingest/formats"
	"ingest/internal/errcode"
)

// Limits bound what an archive may hold. The zero value allows nothing.
type Limits struct {
	// Members is how many there may be. A machine has a handful of disks.
	Members int
	// NameBytes is the longest name: what file systems take.
	NameBytes int
}

// DefaultLimits returns limits that fit honest archives.
func DefaultLimits() Limits { return Limits{Members: 256, NameBytes: 255} }

// A Member is a regular file of an archive.
type Member struct {
	Name string // a base name
	Off  int64  // host offset of its first byte
	Size int64  // bytes
	r    io.ReaderAt
}

// Section returns the member's bytes.
func (m Member) Section() *io.SectionReader { return io.NewSectionReader(m.r, m.Off, m.Size) }

// Clip keeps a value from the archive short and printable enough for a message.
func Clip(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), 80)], "?"))
}

// CheckName refuses a name that is not a plain file name: one that could name
// anything but a file in the folder where somebody unpacks the archive, or that two
// programs could read as two names.
func CheckName(name string, lim Limits, where formats.Place) error {
	what := ""
	switch {
	case name == "":
		what = "is empty"
	case name == "." || name == "..":
		what = "is a folder"
	case len(name) > lim.NameBytes:
		what = "is too long"
	case strings.ContainsAny(name, `/\`):
		what = "has a folder"
	case len(name) > 1 && name[1] == ':':
		what = "has a drive"
	case !utf8.ValidString(name):
		what = "is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		what = "has control characters"
	case strings.ContainsFunc(name, ambiguous):
		what = "has combining or invisible characters, which can be written in several ways"
	default:
		return nil
	}
	where.Field = "name"
	return where.Refuse(errcode.OVAPath, Clip(name), "a plain file name", "member %q: the name %s", Clip(name), what)
}

// ambiguous reports whether a character makes names that look the same differ:
// marks that Unicode's normalisation composes, and format characters.
func ambiguous(r rune) bool { return unicode.In(r, unicode.M, unicode.Cf) }

// Fold returns a name such that names which differ only in case have the same.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}
