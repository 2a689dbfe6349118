package schemas

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// TakesNull reports whether a property of images may be null, which is to have none.
func TakesNull(property Object) bool { return property != nil && isOneOf(property["type"], nil) }

// CheckText returns what is wrong with the value of a free property of images, "" if it is
// one that the property's schema describes. A property without a schema has any text.
func CheckText(property Object, value string) string {
	if values := asList(property["enum"]); values != nil && !slices.Contains(values, any(value)) {
		return "expected one of " + shownValues(values)
	}
	if pattern, ok := property["pattern"].(string); ok {
		if re, err := regexp.Compile(pattern); err != nil || !re.MatchString(value) {
			return fmt.Sprintf("expected what %q describes", pattern)
		}
	}
	n := utf8.RuneCountInString(value)
	if most, ok := number(property["maxLength"]); ok && n > most {
		return fmt.Sprintf("this has %d characters, at most %d are allowed", n, most)
	}
	if least, ok := number(property["minLength"]); ok && n < least {
		return fmt.Sprintf("this has %d characters, at least %d are needed", n, least)
	}
	return ""
}

// number reads a number of a schema, which is one of ours or was read from a file.
func number(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return int(v), v >= 0 && v <= 1<<31
	}
	return 0, false
}

// checkRules refuses rules of a property that nothing could be held against.
func checkRules(property Object) error {
	for _, name := range []string{"maxLength", "minLength"} {
		if v, has := property[name]; has {
			if n, ok := number(v); !ok || float64(n) != v {
				return fmt.Errorf("%s is no number of characters", name)
			}
		}
	}
	if v, has := property["enum"]; has && asList(v) == nil {
		return fmt.Errorf("enum is no list")
	}
	if v, has := property["pattern"]; has {
		text, ok := v.(string)
		if !ok {
			return fmt.Errorf("the pattern is no text")
		}
		if _, err := regexp.Compile(text); err != nil {
			return fmt.Errorf("the pattern is not understood: %w", err)
		}
	}
	return nil
}
