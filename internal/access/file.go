package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
)

// Limits of a file of rules.
const (
	MaxBytes = 1 << 20
	maxRules = 1000
)

// Override returns rules with those of a file in place of the same ones: a mapping of
// names to checks, in YAML or JSON, as Glance's policy.yaml is. Further names are
// rules that others can refer to. Without rules there is at least one problem.
func (r *Rules) Override(name string, raw []byte) (*Rules, []Problem) {
	file, problems := readFile(name, raw)
	if len(problems) > 0 {
		return nil, problems
	}
	return build(name, r.List(), file)
}

// readFile reads the rules of a file.
func readFile(name string, raw []byte) ([]compiled, []Problem) {
	if len(raw) > MaxBytes {
		return nil, []Problem{{Message: fmt.Sprintf("the file has more than %d bytes", MaxBytes)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw)) // JSON is YAML, too
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // Glance's own file has comments only
	} else if err != nil {
		return nil, []Problem{{Message: "this is no YAML: " + clip(strings.TrimPrefix(err.Error(), "yaml: "))}}
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, []Problem{{more.Line, "there is a second document behind the first"}}
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, []Problem{{top.Line, "the file is a mapping of names to rules"}}
	}
	return mapping(name, top)
}

func mapping(name string, top *yaml.Node) ([]compiled, []Problem) {
	var out []compiled
	var problems []Problem
	lines := map[string]int{}
	if len(top.Content)/2 > maxRules {
		return nil, []Problem{{top.Line, fmt.Sprintf("the file has more than %d rules", maxRules)}}
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		bad := func(format string, args ...any) {
			problems = append(problems, Problem{key.Line, fmt.Sprintf("%q: ", clip(key.Value)) + fmt.Sprintf(format, args...)})
		}
		if key.Kind != yaml.ScalarNode || key.Value == "" || len(key.Value) > maxWord || strings.ContainsAny(key.Value, " \t\r\n") {
			bad("a rule's name has 1 to %d characters and no spaces", maxWord)
			continue
		}
		if line, ok := lines[key.Value]; ok {
			bad("the rule stands in line %d, too", line)
			continue
		}
		lines[key.Value] = key.Line
		text, err := checkText(value)
		if err != "" {
			bad("%s", err)
			continue
		}
		out = append(out, compiled{line: key.Line, Rule: Rule{Name: key.Value, Check: text, Source: name + ":" + strconv.Itoa(key.Line)}})
	}
	return out, problems
}

// checkText returns a rule's text. The older form is a list of alternatives, each a
// list of checks that must all hold.
func checkText(n *yaml.Node) (text, problem string) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!str":
		return n.Value, ""
	case n.Kind != yaml.SequenceNode:
		return "", "a rule is text, in quotes where YAML needs them"
	}
	var alternatives []string
	for _, alternative := range n.Content {
		all := []string{alternative.Value}
		if alternative.Kind == yaml.SequenceNode {
			all = all[:0]
			for _, c := range alternative.Content {
				all = append(all, c.Value)
			}
		}
		if slices.ContainsFunc(all, func(s string) bool { return s == "" || strings.ContainsAny(s, " \t\r\n") }) {
			return "", "the list form of a rule is a list of lists of single checks"
		}
		if len(all) > 0 {
			alternatives = append(alternatives, strings.Join(all, " and "))
		}
	}
	if len(alternatives) == 0 && len(n.Content) > 0 {
		return "!", ""
	}
	return strings.Join(alternatives, " or "), ""
}

// invalid makes the error of a file's problems.
func invalid(structure, name string, problems []Problem) *errcode.Error {
	first, where, more := problems[0], name, ""
	if first.Line > 0 {
		where += ":" + strconv.Itoa(first.Line)
	}
	if n := len(problems) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return errcode.New(errcode.AccessRulesInvalid, "%s: %s%s", where, first.Message, more).
		With(errcode.Evidence{Structure: structure, Field: where})
}
