package detect

import (
	"fmt"
	"strconv"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
)

// claims asks every reader and then the detector's own table. Each format
// claims at most once; a reader's answer counts before the table's.
func (d *Detector) claims(w window) ([]claim, error) {
	var out []claim
	one := map[formats.Name]int{}
	for _, f := range d.readers {
		var m formats.Match
		err := guard(string(f.Name()), func() error {
			m = f.Match(w.head, w.tail, w.size)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !m.OK {
			continue
		}
		one[f.Name()] = len(out)
		out = append(out, claim{name: f.Name(), what: title(f.Name()), kind: diskKind, subformat: m.Subformat,
			offset: m.Offset, value: unquoted(m.Value), plain: true, reader: f})
	}
	for _, m := range d.table {
		off, value, ok := m.find(w)
		if !ok {
			continue
		}
		c := m.claim
		c.offset, c.value, c.reader = off, value, d.reader(c.name)
		if _, ok := one[c.name]; ok {
			continue
		}
		if i, ok := one[formats.QCOW2]; ok && c.name == formats.QCOW1 {
			// Both share the magic, and the version has decided.
			out[i] = c
			delete(one, formats.QCOW2)
			one[c.name] = i
			continue
		}
		one[c.name] = len(out)
		out = append(out, c)
	}
	return out, nil
}

// reader returns what opens a format, nil if nothing does. An ISO image is its
// own disk.
func (d *Detector) reader(n formats.Name) formats.Format {
	if n == formats.ISO {
		return d.raw
	}
	for _, f := range d.readers {
		if f.Name() == n {
			return f
		}
	}
	return nil
}

// unambiguous refuses polyglots: two formats, or a format that shares the
// first sectors with a boot sector.
func (in *inspection) unambiguous(claims []claim) error {
	if len(claims) == 0 {
		return nil
	}
	first := claims[0]
	if len(claims) > 1 {
		return ambiguous(first, describe(claims))
	}
	boot := ""
	switch {
	case first.kind == isoKind || in.behindHead(first):
		// An isohybrid, or a format that keeps the guest's own first sectors.
	case hasGPT(in.w):
		boot = "GPT partition table at 512 (\"EFI PART\")"
	case partitioned(in.w):
		boot = "MBR partition table at 446"
	case first.plain && bootSignature(in.w):
		boot = "boot sector signature at 510 (\"U\\xaa\")"
	}
	if boot == "" {
		return nil
	}
	return ambiguous(first, describe(claims)+" and "+boot)
}

// behindHead reports whether a claim leaves the first sectors to the guest.
func (in *inspection) behindHead(c claim) bool {
	if c.kind == luksKind {
		return false // a secondary header does not: the first was overwritten
	}
	return c.offset >= in.w.size-int64(len(in.w.tail)) && c.offset >= 512 && c.name != "zip" || c.kind == volumeKind
}

func ambiguous(first claim, found string) error {
	return errcode.New(errcode.FormatAmbiguous, "the file is more than one thing at once: %s", found).
		With(errcode.Evidence{Structure: "first and last bytes", Field: "magic", Offset: errcode.At(first.offset), Value: found, Limit: "one format"})
}

// evidence says where the claim's magic was seen.
func (c claim) evidence(limit string) errcode.Evidence {
	return errcode.Evidence{Format: string(c.name), Structure: "magic", Offset: errcode.At(c.offset), Value: quote([]byte(c.value)), Limit: limit}
}

// describe lists claims for people.
func describe(claims []claim) string {
	var b strings.Builder
	for i, c := range claims {
		if i > 0 {
			b.WriteString(" and ")
		}
		fmt.Fprintf(&b, "%s at %d (%s)", c.name, c.offset, quote([]byte(c.value)))
	}
	return b.String()
}

// title names a format that is read, with its article.
func title(n formats.Name) string {
	for _, m := range magics() {
		if m.name == n {
			return m.what
		}
	}
	return "a " + string(n) + " image"
}

// quoteBytes is how much of a hostile string is shown: a magic, not a payload.
const quoteBytes = 32

// quote makes bytes of the file printable.
func quote(p []byte) string {
	return strconv.QuoteToASCII(string(p[:min(quoteBytes, len(p))]))
}

// unquoted undoes the quoting of a reader that made its magic printable itself.
func unquoted(s string) string {
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

// clip shortens a string of the caller's.
func clip(s string) string {
	return s[:min(quoteBytes, len(s))]
}
