package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
)

// Limits of a policy file.
const (
	MaxBytes    = 1 << 20 // of the file: thousands of projects
	maxText     = 4096    // bytes of one word
	maxName     = 255     // characters of a property's name, as in Glance
	fileVersion = "1"
)

// Parse reads a policy. name is what its verdicts call the file. Without a
// policy, there is at least one problem.
func Parse(name string, raw []byte) (*Policy, []Problem) {
	if len(raw) > MaxBytes {
		return nil, []Problem{{Message: fmt.Sprintf("the file has %d bytes, and at most %d are read", len(raw), MaxBytes)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, []Problem{{Message: "the file is empty; the least that it holds is \"version: 1\""}}
	} else if err != nil {
		return nil, []Problem{syntax(err)}
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, []Problem{{Line: more.Line, Message: "there is a second document behind the first; a policy is one"}}
	}
	sum := sha256.Sum256(raw)
	p := &Policy{name: name, digest: "sha256:" + hex.EncodeToString(sum[:]), projects: map[string]ruleset{}}
	r := &reader{}
	r.plainNodes(&doc)
	if len(r.problems) == 0 {
		r.file(p, doc.Content[0])
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, r.problems
	}
	return p, nil
}

// invalid makes the error of a file's problems.
func invalid(name string, problems []Problem) *errcode.Error {
	first := problems[0]
	where := name
	if first.Line > 0 {
		where += ":" + strconv.Itoa(first.Line)
	}
	more := ""
	if n := len(problems) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return errcode.New(errcode.PolicyInvalid, "%s: %s%s", where, first.Message, more).
		With(errcode.Evidence{Structure: "policy", Field: where})
}

// syntax reads the line out of the decoder's message.
func syntax(err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if digits, message, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				return Problem{Line: n, Message: "this is not YAML: " + clip(message)}
			}
		}
	}
	return Problem{Message: "this is not YAML: " + clip(text)}
}

// plainNodes refuses anchors and aliases: a rule stands where it is used, and a
// small file stays small.
func (r *reader) plainNodes(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		r.bad(n, "anchors and aliases are not taken; write the setting out")
		return
	}
	for _, c := range n.Content {
		r.plainNodes(c)
	}
}

// file reads the whole file.
func (r *reader) file(p *Policy, n *yaml.Node) {
	version := false
	r.mapping("", n, map[string]field{
		"version": func(id string, _, v *yaml.Node) {
			version = true
			if r.text(id, v) != fileVersion {
				r.bad(v, "version: this program reads version %s", fileVersion)
			}
		},
		"defaults": func(id string, _, v *yaml.Node) { p.defaults = r.ruleset(id, v) },
		"projects": func(id string, _, v *yaml.Node) {
			r.each(id, v, func(id string, key, v *yaml.Node) {
				if key.Value == "" || len(key.Value) > maxName {
					r.bad(key, "projects: %q is no project", clip(key.Value))
				}
				p.projects[key.Value] = r.ruleset(id, v)
			})
		},
	})
	if !version && n.Kind == yaml.MappingNode {
		r.bad(n, "\"version: 1\" is missing")
	}
}

// ruleset reads the settings of the defaults or of a project.
func (r *reader) ruleset(id string, n *yaml.Node) ruleset {
	var s ruleset
	r.mapping(id, n, map[string]field{
		"exempt":         func(id string, _, v *yaml.Node) { s.exempt = r.exempt(id, v) },
		"source_formats": r.list(&s.sourceFormats, r.format),
		"target_formats": r.list(&s.targetFormats, r.oneOf(formatNames)),
		"containers":     r.list(&s.containers, r.oneOf(containerNames)),
		"compressions":   r.list(&s.compressions, r.oneOf(compressionNames)),
		"stores":         r.list(&s.stores, r.text),
		"sources":        func(id string, key, v *yaml.Node) { s.sources = r.sources(id, key, v) },
		"require":        func(id string, key, v *yaml.Node) { s.require = r.require(id, key, v) },
		"properties":     func(id string, _, v *yaml.Node) { s.properties = r.properties(id, v) },
		"limits": func(id string, _, v *yaml.Node) {
			r.mapping(id, v, map[string]field{
				"virtual_size":    r.limit(&s.virtualSize),
				"source_bytes":    r.limit(&s.sourceBytes),
				"expansion_ratio": r.limit(&s.ratio),
			})
		},
		"codes": func(id string, _, v *yaml.Node) {
			r.mapping(id, v, map[string]field{"hard": r.list(&s.hard, r.hardCode), "soft": r.list(&s.soft, r.softCode)})
			for _, c := range s.hard.values {
				if slices.Contains(s.soft.values, c) {
					r.bad(v, "%s: %s is both hard and soft", id, c)
				}
			}
		},
		"guest": func(id string, _, v *yaml.Node) { r.guest(&s, id, v) },
	})
	return s
}

// list reads a list of words, "any", or "none" where the setting knows codes.
func (r *reader) list(into *listRule, check func(string, *yaml.Node) string) field {
	return func(id string, key, v *yaml.Node) {
		into.head = head{id, key.Line}
		if v.Kind == yaml.ScalarNode && v.Value == "any" {
			into.any = true
			return
		}
		into.values = r.words(id, v, check)
	}
}

func (r *reader) oneOf(known []string) func(string, *yaml.Node) string {
	return func(id string, n *yaml.Node) string { return r.word(id, n, known) }
}

// format reads FORMAT or FORMAT/SUBFORMAT.
func (r *reader) format(id string, n *yaml.Node) string {
	s := r.text(id, n)
	format, sub, cut := strings.Cut(s, "/")
	if s != "" && !slices.Contains(sourceNames, format) {
		r.bad(n, "%s: %q is not one of %s", id, clip(format), strings.Join(sourceNames, ", "))
	}
	if cut && sub == "" {
		r.bad(n, "%s: the subformat behind the slash is empty", id)
	}
	return s
}

// hardCode reads a code that findings may have.
func (r *reader) hardCode(id string, n *yaml.Node) string {
	s := r.text(id, n)
	if s != "" && (!strings.HasPrefix(s, "IMG_") || !errcode.Known(errcode.Code(s))) {
		r.bad(n, "%s: %q is no code of an image; docs/errors.md lists them", id, clip(s))
	}
	return s
}

// softCode reads a code that may be softened.
func (r *reader) softCode(id string, n *yaml.Node) string {
	s := r.hardCode(id, n)
	if errcode.Known(errcode.Code(s)) && !canSoften(s) {
		var can []string
		for _, c := range softable() {
			can = append(can, string(c))
		}
		r.bad(n, "%s: %s protects hosts or data and is never a mere warning; what can be: %s", id, s, strings.Join(can, ", "))
	}
	return s
}

// limit reads a number, or "none".
func (r *reader) limit(into *limitRule) field {
	return func(id string, key, v *yaml.Node) {
		into.head = head{id, key.Line}
		if v.Kind == yaml.ScalarNode && v.Value == "none" {
			into.any = true
			return
		}
		into.max = r.size(id, v)
	}
}

// exempt reads which roles are free of which settings.
func (r *reader) exempt(id string, n *yaml.Node) map[string]exemption {
	out := map[string]exemption{}
	r.each(id, n, func(id string, key, v *yaml.Node) {
		e := exemption{head: head{id, key.Line}}
		if v.Kind == yaml.ScalarNode && v.Value == "all" {
			e.all = true
		} else {
			e.names = r.words(id, v, r.oneOf(settingNames))
		}
		out[key.Value] = e
	})
	return out
}

// guest reads which facts a disk must have.
func (r *reader) guest(s *ruleset, id string, n *yaml.Node) {
	known := map[string]field{"missing": r.list(&s.guestMissing, r.oneOf([]string{"allow", "deny"}))}
	for _, fact := range guestFacts {
		known[fact] = func(id string, key, v *yaml.Node) {
			var l listRule
			r.list(&l, r.text)(id, key, v)
			s.guest = append(s.guest, l)
		}
	}
	r.mapping(id, n, known)
	slices.SortFunc(s.guest, func(a, b listRule) int { return strings.Compare(a.id, b.id) })
}
