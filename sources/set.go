package sources

import (
	"context"
	"net/url"
	"strings"

	"ingest/internal/errcode"
)

// A Set is the list of drivers that a process was given.
type Set []Driver

// Open finds the driver for ref's scheme and opens ref with it. A reference
// without a scheme is a path.
func (s Set) Open(ctx context.Context, ref Ref, pin *Pin) (Source, error) {
	d, err := s.driver(ref.URL)
	if err != nil {
		return nil, err
	}
	return d.Open(ctx, ref, pin)
}

// driver finds the driver for a reference's scheme.
func (s Set) driver(ref string) (Driver, error) {
	scheme, err := Scheme(ref)
	if err != nil {
		return nil, err
	}
	for _, d := range s {
		for _, have := range d.Schemes() {
			if have == scheme {
				return d, nil
			}
		}
	}
	return nil, errcode.New(errcode.SourceScheme, "no driver for scheme %q", scheme).
		With(errcode.Evidence{Structure: "source URL", Field: "scheme", Value: scheme, Limit: strings.Join(s.Schemes(), ", ")})
}

// Schemes lists what the set can open.
func (s Set) Schemes() []string {
	var out []string
	for _, d := range s {
		out = append(out, d.Schemes()...)
	}
	return out
}

// Scheme returns the lower-case scheme of a reference, "file" for a plain path.
func Scheme(ref string) (string, error) {
	if strings.HasPrefix(ref, "/") || !strings.Contains(ref, "://") {
		return "file", nil
	}
	u, err := url.Parse(ref)
	if err != nil || u.Scheme == "" {
		return "", errcode.New(errcode.SourceURLInvalid, "the source URL cannot be parsed")
	}
	return strings.ToLower(u.Scheme), nil
}
