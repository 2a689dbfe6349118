package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ingest/internal/errcode"
)

// maxDepth is how deep a value that is judged may be; what the schemas describe is
// less deep.
const maxDepth = 32

// Check returns errcode.BadRequest, with the place as evidence, for a value that does
// not fit the schema. Numbers of the value are json.Number.
func Check(schema Object, value any) error {
	d, _ := schema["definitions"].(Object)
	c := checker{definitions: d}
	if _, ok := schema["type"]; !ok {
		// The schemas of whole documents leave it out.
		schema = clone(schema)
		schema["type"] = "object"
	}
	return c.check(schema, value, "", 0)
}

type checker struct{ definitions Object }

func (c checker) check(s Object, v any, at string, depth int) error {
	if depth > maxDepth {
		return wrong(at, v, "the value is too deep")
	}
	if ref, ok := s["$ref"].(string); ok {
		return c.check(c.definitions[strings.TrimPrefix(ref, "#/definitions/")].(Object), v, at, depth+1)
	}
	for _, part := range asList(s["allOf"]) {
		if err := c.check(part.(Object), v, at, depth+1); err != nil {
			return err
		}
	}
	if want, ok := s["type"]; ok && !isOneOf(want, v) {
		return wrong(at, v, "expected %s, found %s", nameOf(want), kindOf(v))
	}
	if values := asList(s["enum"]); values != nil && !slices.Contains(values, v) {
		return wrong(at, v, "expected one of %s", shownValues(values))
	}
	switch v := v.(type) {
	case string:
		if most, ok := s["maxLength"].(int); ok && utf8.RuneCountInString(v) > most {
			return wrong(at, v, "this has more than %d characters", most)
		}
	case json.Number:
		if least, ok := s["minimum"].(int); ok {
			if f, err := v.Float64(); err != nil || f < float64(least) {
				return wrong(at, v, "expected a number not less than %d", least)
			}
		}
	case []any:
		return c.items(s, v, at, depth)
	case map[string]any:
		return c.members(s, v, at, depth)
	}
	return nil
}

func (c checker) items(s Object, v []any, at string, depth int) error {
	if least, ok := s["minItems"].(int); ok && len(v) < least {
		return wrong(at, nil, "expected at least %d", least)
	}
	if s["uniqueItems"] == true {
		seen := map[any]bool{}
		for _, item := range v {
			if text, ok := item.(string); ok && seen[text] {
				return wrong(at, item, "this stands there twice")
			} else if ok {
				seen[text] = true
			}
		}
	}
	item, ok := s["items"].(Object)
	if !ok {
		return nil
	}
	for i, e := range v {
		if err := c.check(item, e, at+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) members(s Object, v map[string]any, at string, depth int) error {
	for _, name := range asList(s["required"]) {
		if _, ok := v[name.(string)]; !ok {
			return wrong(join(at, name.(string)), nil, "this is missing")
		}
	}
	known, _ := s["properties"].(Object)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		place := join(at, name)
		inner, ok := known[name].(Object)
		if !ok {
			inner, ok = s["additionalProperties"].(Object)
		}
		if !ok && s["additionalProperties"] == false {
			return wrong(place, nil, "there is no such member")
		}
		if !ok {
			continue
		}
		if err := c.check(inner, v[name], place, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func asList(v any) list {
	l, _ := v.(list)
	return l
}

// isOneOf reports whether a value is of a type, or of one of several.
func isOneOf(want, v any) bool {
	if several, ok := want.(list); ok {
		return slices.ContainsFunc(several, func(one any) bool { return isOneOf(one, v) })
	}
	kind := kindOf(v)
	return want == kind || want == "number" && kind == "integer"
}

// kindOf is the name that JSON Schema has for a value's type.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case json.Number:
		if whole(v) {
			return "integer"
		}
	}
	return "number"
}

// whole reports whether a number has no fraction. 1e400 has none, and is none that
// anybody could keep.
func whole(n json.Number) bool {
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) {
		return false
	}
	return f == math.Trunc(f) && (!strings.ContainsAny(n.String(), ".eE") || big.NewFloat(f).IsInt())
}

func nameOf(want any) string {
	if several, ok := want.(list); ok {
		return shownValues(several)
	}
	return fmt.Sprint(want)
}

func shownValues(values list) string {
	names := make([]string, 0, len(values))
	for _, v := range values {
		if v == nil {
			v = "null"
		}
		names = append(names, fmt.Sprint(v))
	}
	return strings.Join(names, ", ")
}

func join(at, name string) string {
	const most = 128 // bytes of a name that are shown
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	if at == "" {
		return name
	}
	return at + "." + name
}

func wrong(at string, v any, format string, args ...any) error {
	if at == "" {
		at = "body"
	}
	ev := errcode.Evidence{Structure: "request", Field: at}
	switch v.(type) {
	case string, bool, json.Number:
		ev.Value = join("", fmt.Sprint(v))
	}
	return errcode.New(errcode.BadRequest, "%s: %s", at, fmt.Sprintf(format, args...)).With(ev)
}
