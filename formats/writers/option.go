package writers

import (
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
)

// An Option is a setting that a writer takes, as text.
type Option struct {
	Name    string   `json:"name"`
	Help    string   `json:"help"`
	Default string   `json:"default"`          // "" means that there is none
	Values  []string `json:"values,omitempty"` // all that are right, or none if Kind says it
	Kind    Kind     `json:"kind"`
	Min     int64    `json:"min,omitempty"` // of sizes (bytes) and numbers
	Max     int64    `json:"max,omitempty"`
	Step    int64    `json:"step,omitempty"` // of numbers: what they are a multiple of
	// Only is the setting, such as subformat=fixed, with which the option goes;
	// "" if it always does.
	Only string `json:"only,omitempty"`
}

// A Kind says what an option's text is.
type Kind string

// The kinds of option.
const (
	Choice Kind = "choice" // one of Values
	Size   Kind = "size"   // bytes, a power of two, with K, M or G for 2^10, 2^20, 2^30
	Bytes  Kind = "bytes"  // bytes, a multiple of 512, with units as Size has them
	Number Kind = "number" // a whole number
	Text   Kind = "text"   // at most 255 bytes, without control characters
	Name   Kind = "name"   // at most 80 letters, digits, dots, hyphens and underlines of ASCII, the first a letter or a digit
	UUID   Kind = "uuid"   // such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427, not all zeros
)

// Takes says in words what is right.
func (o Option) Takes() string {
	switch o.Kind {
	case Choice:
		return strings.Join(o.Values, ", ")
	case Size:
		return "a power of two, " + FormatSize(o.Min) + " to " + FormatSize(o.Max)
	case Bytes:
		return "a multiple of 512, " + FormatSize(o.Min) + " to " + FormatSize(o.Max)
	case UUID:
		return "a UUID, not all zeros"
	case Name:
		return "at most 80 letters, digits, dots, hyphens and underlines, beginning with a letter or a digit"
	case Number:
		bounds := strconv.FormatInt(o.Min, 10) + " to " + strconv.FormatInt(o.Max, 10)
		if o.Step > 1 {
			return "a multiple of " + strconv.FormatInt(o.Step, 10) + ", " + bounds
		}
		return bounds
	}
	return "text"
}

// normal returns the option's text in the one form that means it, so that equal
// settings make equal codecs.
func (o Option) normal(s string) (string, error) {
	ok := false
	switch o.Kind {
	case Choice:
		s = strings.TrimSpace(s)
		for _, v := range o.Values {
			if strings.EqualFold(v, s) {
				return v, nil
			}
		}
	case Size, Bytes:
		n, good := ParseSize(s)
		ok = good && n >= o.Min && n <= o.Max && (o.Kind == Bytes && n%512 == 0 || bits.OnesCount64(uint64(n)) == 1)
		if ok {
			s = FormatSize(n)
		}
	case UUID:
		id, good := formats.ParseID(s)
		ok = good
		if ok {
			s = id.String()
		}
	case Number:
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		ok = err == nil && n >= o.Min && n <= o.Max && (o.Step <= 1 || n%o.Step == 0)
		if ok {
			s = strconv.FormatInt(n, 10)
		}
	case Name:
		ok = goodName(s)
	case Text:
		ok = len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
	}
	if !ok {
		return "", errcode.New(errcode.TargetOption, "option %s takes %s", o.Name, o.Takes()).
			With(errcode.Evidence{Structure: "request", Field: "target.options." + o.Name, Value: clip(s), Limit: o.Takes()})
	}
	return s, nil
}

// goodName reports whether s can stand in any file's name.
func goodName(s string) bool {
	letter := func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }
	if len(s) == 0 || len(s) > 80 || !letter(s[0]) {
		return false
	}
	for i := range len(s) {
		if !letter(s[i]) && s[i] != '.' && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

// clip keeps a wrong value short enough for a message.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "") }

var units = []struct {
	letter string
	bytes  int64
}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}}

// ParseSize reads a number of bytes such as 65536, 64K, 64k, 64KiB or 2M.
func ParseSize(s string) (int64, bool) {
	s = strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s)), "B"), "I")
	factor := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.letter); ok {
			s, factor = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, false
	}
	return n * factor, true
}

// FormatSize writes a number of bytes with the largest unit that divides it.
func FormatSize(n int64) string {
	for _, u := range units {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.letter
		}
	}
	return strconv.FormatInt(n, 10)
}

// Options are settings by name, normal and complete.
type Options map[string]string

func (o Options) size(name string) int64 {
	n, _ := ParseSize(o[name])
	return n
}

func (o Options) id(name string) formats.ID {
	id, _ := formats.ParseID(o[name])
	return id
}

func (o Options) number(name string) int64 {
	n, _ := strconv.ParseInt(o[name], 10, 64)
	return n
}

// complete checks settings against what is taken, and adds the defaults.
// Options on whose value others depend stand before these.
func complete(name string, takes []Option, given map[string]string) (Options, error) {
	out := Options{}
	for _, o := range takes {
		s, ok := given[o.Name]
		if !o.goes(out) {
			if ok {
				return nil, onlyWith(name, o)
			}
			continue
		}
		if !ok {
			if o.Default != "" {
				out[o.Name] = o.Default
			}
			continue
		}
		v, err := o.normal(s)
		if err != nil {
			return nil, err
		}
		if v != "" {
			out[o.Name] = v
		}
	}
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(takes, func(o Option) bool { return o.Name == k }) {
			return nil, unknownOption(name, takes, k)
		}
	}
	return out, nil
}

// goes reports whether the option goes with the settings.
func (o Option) goes(with Options) bool {
	k, v, _ := strings.Cut(o.Only, "=")
	return o.Only == "" || with[k] == v
}

// onlyWith says what an option goes with.
func onlyWith(name string, o Option) error {
	return errcode.New(errcode.TargetOption, "%s takes option %s only with %s", name, o.Name, o.Only).
		With(errcode.Evidence{Structure: "request", Field: "target.options." + o.Name, Limit: o.Only})
}

// unknownOption names the options that there are.
func unknownOption(name string, takes []Option, k string) error {
	var names []string
	for _, o := range takes {
		names = append(names, o.Name)
	}
	limit := strings.Join(names, ", ")
	e := errcode.New(errcode.TargetOption, "%s takes no option %q, but %s", name, clip(k), limit)
	if limit == "" {
		limit = "none"
		e = errcode.New(errcode.TargetOption, "%s takes no options", name)
	}
	return e.With(errcode.Evidence{Structure: "request", Field: "target.options." + clip(k), Limit: limit})
}
