package provenance

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"ingest/internal/logging"
)

// A budget bounds what goes into one statement.
type budget struct {
	list int // elements of one list
	text int // bytes of one text
}

// budgets are tried one after the other until a statement fits. The shortest text is
// longer than any digest.
func budgets() []budget {
	return []budget{{100, 2048}, {32, 512}, {8, 256}, {0, 192}}
}

// cut stands at the end of a text that was longer.
const cut = "…"

// canonical writes v as JSON that is the same for the same value: members sorted by
// the bytes of their names, no spaces, nothing escaped that need not be. URLs within
// texts lose what may be secret, and texts are cut to the budget.
func canonical(v any, b budget) ([]byte, error) {
	raw, err := marshal(v)
	if err != nil {
		return nil, err
	}
	return marshal(clean(decode(raw), b))
}

// marshal writes compact JSON without HTML escapes. Maps come out sorted.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// clean passes every text of a decoded value through the rules of canonical.
func clean(v any, b budget) any {
	switch v := v.(type) {
	case string:
		return short(logging.Text(v), b.text)
	case []any:
		for i := range v {
			v[i] = clean(v[i], b)
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[short(logging.Text(name), b.text)] = clean(value, b)
		}
		return out
	}
	return v
}

func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len(cut)], "") + cut
}

// bounded cuts all lists and objects within a decoded value that was made elsewhere;
// what is cut off is counted in an element, or a member, called omitted.
func bounded(v any, b budget) any {
	switch v := v.(type) {
	case []any:
		keep := min(len(v), b.list)
		out := make([]any, 0, keep+1)
		for _, e := range v[:keep] {
			out = append(out, bounded(e, b))
		}
		if keep < len(v) {
			out = append(out, map[string]any{"omitted": len(v) - keep})
		}
		return out
	case map[string]any:
		out := map[string]any{}
		names := sorted(v)
		keep := min(len(names), b.list+20) // an object of ours has fewer members
		for _, name := range names[:keep] {
			out[name] = bounded(v[name], b)
		}
		if keep < len(names) {
			out["omitted"] = len(names) - keep
		}
		return out
	}
	return v
}

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
