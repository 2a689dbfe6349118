package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a file of protections.
const (
	maxSections = 1000
	maxPattern  = 1024 // bytes
)

// ParseProtections reads a file in the format of Glance's property-protections.conf:
// a section for each pattern, a regular expression that is looked for in a property's
// name, with the four operations in it. Without protections there is at least one
// problem.
func ParseProtections(raw []byte, form Form) (*Protections, []Problem) {
	if form != ByRoles && form != ByPolicies {
		return nil, []Problem{{Message: fmt.Sprintf("%q is no form of protections: there are roles and policies", clip(string(form)))}}
	}
	if len(raw) > MaxBytes || !utf8.Valid(raw) {
		return nil, []Problem{{Message: fmt.Sprintf("the file is no text of at most %d bytes", MaxBytes)}}
	}
	sum := sha256.Sum256(append([]byte(form), raw...))
	r := protectionReader{out: &Protections{form: form, digest: "sha256:" + hex.EncodeToString(sum[:])}}
	for i, line := range strings.Split(string(raw), "\n") {
		r.line(i+1, strings.TrimRight(line, " \t\r"))
	}
	r.end()
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.out, nil
}

// A protectionReader reads line by line.
type protectionReader struct {
	out      *Protections
	problems []Problem
	op       Operation // whose value may go on in an indented line; "" for none
}

func (r *protectionReader) bad(line int, format string, args ...any) {
	const most = 50
	if len(r.problems) < most {
		r.problems = append(r.problems, Problem{line, fmt.Sprintf(format, args...)})
	}
}

func (r *protectionReader) line(n int, text string) {
	bare := strings.TrimSpace(text)
	switch {
	case bare == "":
		r.op = ""
	case bare[0] == '#' || bare[0] == ';':
	case text[0] == '[' && strings.HasSuffix(text, "]"):
		r.section(n, text[1:len(text)-1])
	case len(r.out.sections) == 0:
		r.bad(n, "a section, [PATTERN], comes first")
	case text[0] == ' ' || text[0] == '\t':
		if r.op == "" {
			r.bad(n, "the line is indented, and goes on with nothing")
			return
		}
		r.allow(n, r.op, bare)
	default:
		at := strings.IndexAny(bare, "=:")
		if at < 0 {
			r.bad(n, "expected OPERATION = WORDS")
			return
		}
		op := Operation(strings.ToLower(strings.TrimSpace(bare[:at])))
		s := r.last()
		if _, twice := s.allowed[op]; twice || !slices.Contains(operations(), op) {
			r.bad(n, "%q is not one of create, read, update and delete, each once", clip(string(op)))
			return
		}
		s.allowed[op], r.op = []string{}, op
		r.allow(n, op, strings.TrimSpace(bare[at+1:]))
	}
}

func (r *protectionReader) last() *section { return &r.out.sections[len(r.out.sections)-1] }

// section begins a section.
func (r *protectionReader) section(n int, pattern string) {
	r.end()
	r.op = ""
	s := section{line: n, allowed: map[Operation][]string{}}
	switch re, err := regexp.Compile(pattern); {
	case len(r.out.sections) == maxSections:
		r.bad(n, "the file has more than %d sections", maxSections)
	case pattern == "" || len(pattern) > maxPattern:
		r.bad(n, "a pattern has 1 to %d bytes", maxPattern)
	case pattern == "DEFAULT":
		r.bad(n, "a section for all others is not taken; write the operations out")
	case err != nil:
		r.bad(n, "the pattern %q cannot be used: %v", clip(pattern), err)
	case slices.ContainsFunc(r.out.sections, func(s section) bool { return s.pattern != nil && s.pattern.String() == pattern }):
		r.bad(n, "the section %q stands there twice", clip(pattern))
	default:
		s.pattern = re
	}
	r.out.sections = append(r.out.sections, s)
}

// end finds what the section that ends does not say.
func (r *protectionReader) end() {
	if len(r.out.sections) == 0 {
		return
	}
	s := r.last()
	for _, op := range operations() {
		words, ok := s.allowed[op]
		switch {
		case !ok:
			r.bad(s.line, "the section does not say who may %s", op)
		case slices.Contains(words, "@") && slices.Contains(words, "!"):
			r.bad(s.line, "%s: everybody (@) and nobody (!) exclude each other", op)
		case r.out.form == ByPolicies && len(words) > 1:
			r.bad(s.line, "%s: policies are named one at a time; combine them in a rule", op)
		}
	}
}

// allow adds the words of a line.
func (r *protectionReader) allow(n int, op Operation, text string) {
	s := r.last()
	for _, word := range strings.Split(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		if len(word) > maxWord {
			r.bad(n, "%s: a name has at most %d bytes", op, maxWord)
			return
		}
		s.allowed[op] = append(s.allowed[op], word)
	}
}
