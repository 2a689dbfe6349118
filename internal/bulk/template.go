package bulk

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxFilled is how long a text may become, bytes: a property's value in Glance.
const maxFilled = 64<<10 - 1

// fill puts what an item is into its placeholders.
func fill(it *Item, n int) error {
	name := file(it.Source.URL)
	base := name
	for range 2 { // disk.qcow2.xz
		if i := strings.LastIndexByte(base, '.'); i > 0 {
			base = base[:i]
		}
	}
	values := map[string]string{"key": it.Key, "n": strconv.Itoa(n), "filename": name, "basename": base, "host": Host(it.Source.URL)}
	if it.Image.Name == "" {
		it.Image.Name = "{basename}"
	}
	var err error
	if it.Image.Name, err = expand("image.name", it.Image.Name, values); err != nil {
		return err
	}
	for i, tag := range it.Image.Tags {
		if it.Image.Tags[i], err = expand("image.tags", tag, values); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(it.Image.Properties)) {
		if it.Image.Properties[name], err = expand("image.properties."+name, it.Image.Properties[name], values); err != nil {
			return err
		}
	}
	return nil
}

// expand replaces {NAME} by a value, {{ and }} by a brace.
func expand(field, text string, values map[string]string) (string, error) {
	if !strings.ContainsAny(text, "{}") {
		return text, nil
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{") || strings.HasPrefix(text[i:], "}}"):
			out.WriteByte(text[i])
			i += 2
		case text[i] == '{':
			name, _, closed := strings.Cut(text[i+1:], "}")
			value, known := values[name]
			if !closed || !known {
				return "", bad(field, text, "the placeholder %q is none of {key}, {n}, {filename}, {basename}, {host}; {{ stands for a brace", "{"+name)
			}
			out.WriteString(value)
			i += len(name) + 2
		case text[i] == '}':
			return "", bad(field, text, "there is a } without a {; }} stands for a brace")
		default:
			out.WriteByte(text[i])
			i++
		}
		if out.Len() > maxFilled {
			return "", bad(field, "", "the text is longer than %d bytes", maxFilled)
		}
	}
	return out.String(), nil
}
