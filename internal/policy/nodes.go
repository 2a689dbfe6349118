package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// A Problem is one thing that is wrong with a policy file.
type Problem struct {
	Line    int    `json:"line"` // from 1; 0 if it is the whole file
	Message string `json:"message"`
}

// maxProblems bounds how many are told at once.
const maxProblems = 50

// A reader walks the nodes of a file and notes what is wrong with them.
type reader struct {
	problems []Problem
}

func (r *reader) bad(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{Line: n.Line, Message: fmt.Sprintf(format, args...)})
	}
}

// A field reads the value of one key.
type field func(id string, key, value *yaml.Node)

// mapping reads a mapping whose keys are known. id is the mapping's own name.
func (r *reader) mapping(id string, n *yaml.Node, known map[string]field) {
	keys := make([]string, 0, len(known))
	for k := range known {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	r.each(id, n, func(id string, key, value *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			r.bad(key, "unknown key %q; known here: %s", clip(key.Value), strings.Join(keys, ", "))
			return
		}
		read(id, key, value)
	})
}

// each reads a mapping with any keys.
func (r *reader) each(id string, n *yaml.Node, read field) {
	if n.Kind != yaml.MappingNode {
		r.bad(n, "%s: expected a mapping (key: value), found %s", orFile(id), kindOf(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.bad(key, "%s: a key must be a plain word", orFile(id))
		case seen[key.Value]:
			r.bad(key, "%s: %q is given twice", orFile(id), clip(key.Value))
		default:
			seen[key.Value] = true
			read(join(id, key.Value), key, value)
		}
	}
}

// sequence reads a list.
func (r *reader) sequence(id string, n *yaml.Node, read func(id string, n *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.bad(n, "%s: expected a list, found %s", id, kindOf(n))
		return
	}
	for i, c := range n.Content {
		read(fmt.Sprintf("%s[%d]", id, i+1), c)
	}
}

// text reads a scalar as it is written; "" if it is none.
func (r *reader) text(id string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.bad(n, "%s: expected a word, found %s", id, kindOf(n))
		return ""
	}
	if n.Value == "" {
		r.bad(n, "%s: is empty", id)
	}
	if len(n.Value) > maxText {
		r.bad(n, "%s: is longer than %d bytes", id, maxText)
		return ""
	}
	return n.Value
}

// word reads one of the known words.
func (r *reader) word(id string, n *yaml.Node, known []string) string {
	s := r.text(id, n)
	if s != "" && !slices.Contains(known, s) {
		r.bad(n, "%s: %q is not one of %s", id, clip(s), strings.Join(known, ", "))
	}
	return s
}

// words reads a list of words, or a single one. An empty list is refused: who
// means nothing or everything shall say so.
func (r *reader) words(id string, n *yaml.Node, check func(id string, n *yaml.Node) string) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{check(id, n)}
	}
	var out []string
	r.sequence(id, n, func(id string, n *yaml.Node) {
		s := check(id, n)
		if slices.Contains(out, s) && s != "" {
			r.bad(n, "%s: %q is given twice", id, clip(s))
		}
		out = append(out, s)
	})
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.bad(n, "%s: the list is empty; write \"any\" to lift a restriction", id)
	}
	return out
}

// truth reads true or false.
func (r *reader) truth(id string, n *yaml.Node) bool {
	var b bool
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(&b) != nil {
		r.bad(n, "%s: expected true or false, found %s", id, kindOf(n))
	}
	return b
}

// binary units, the longest first.
var binary = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// size reads a number of bytes: 1048576, 512MiB, 2TiB.
func (r *reader) size(id string, n *yaml.Node) int64 {
	s := r.text(id, n)
	factor := int64(1)
	digits := s
	for _, u := range binary {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, factor = strings.TrimSpace(rest), u.size
			break
		}
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if s != "" && (err != nil || v <= 0 || v > math.MaxInt64/factor) {
		r.bad(n, "%s: %q is not a size such as 4096, 512MiB or 2TiB", id, clip(s))
		return 0
	}
	return v * factor
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(clip(n.Value))
}

func join(id, key string) string {
	if id == "" {
		return key
	}
	return id + "." + key
}

func orFile(id string) string {
	if id == "" {
		return "the file"
	}
	return id
}

// clip keeps a wrong value short enough for a message.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "..."
}

// lastKey is the last part of a rule's id.
func lastKey(id string) string { return id[strings.LastIndexByte(id, '.')+1:] }
