package contract

import (
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// Levels of verification: what is proven of the sealed bytes before an image
// becomes active. At every level the stored digest is taken from the bytes that
// the store gives back, since os_hash_value is a promise about those.
const (
	// VerifyFull reads the guest's bytes back out of the stored image, through
	// a reader that had no part in writing it, and compares their content
	// digest with the source's.
	VerifyFull = "full"
	// VerifyStored opens the stored image and checks its size and tables. Of
	// an image whose bytes are the guest's (raw, iso) it compares the content
	// too, in the pass that takes the stored digest.
	VerifyStored = "stored"
	// VerifyNone compares nothing.
	VerifyNone = "none"
)

// VerifyLevels lists the levels, the strictest one first.
func VerifyLevels() []string { return []string{VerifyFull, VerifyStored, VerifyNone} }

// A VerifyPolicy is what an operator allows requests to ask for.
type VerifyPolicy struct {
	Default string // level of a request that names none; "" means full
	Least   string // least strict level that a request may ask for; "" means Default
}

// filled returns the policy with nothing left open.
func (p VerifyPolicy) filled() VerifyPolicy {
	if p.Default == "" {
		p.Default = VerifyFull
	}
	if p.Least == "" {
		p.Least = p.Default
	}
	return p
}

// Bounds returns the default and the least level.
func (p VerifyPolicy) Bounds() (level, least string) {
	p = p.filled()
	return p.Default, p.Least
}

// Sound reports whether the default is one that a request may ask for.
func (p VerifyPolicy) Sound() bool {
	level, least := p.Bounds()
	return !below(level, least)
}

// Resolve returns the level of a request that asks for one, "" for none. A
// level that does not exist is errcode.BadRequest, one that is not allowed
// errcode.Forbidden.
func (p VerifyPolicy) Resolve(asked string) (string, error) {
	p = p.filled()
	switch {
	case asked == "":
		return p.Default, nil
	case !slices.Contains(VerifyLevels(), asked):
		return "", badLevel(asked)
	case below(asked, p.Least):
		return "", errcode.New(errcode.Forbidden, "this server verifies imports with %q at least", p.Least).
			With(errcode.Evidence{Structure: "request", Field: "verify", Value: asked, Limit: p.Least})
	}
	return asked, nil
}

// AtLeast returns the level that was resolved before, or what the policy
// demands if that is stricter today.
func (p VerifyPolicy) AtLeast(resolved string) string {
	p = p.filled()
	switch {
	case !slices.Contains(VerifyLevels(), resolved):
		return p.Default
	case below(resolved, p.Least):
		return p.Least
	}
	return resolved
}

// below reports whether a level is less strict than another one.
func below(level, other string) bool {
	return slices.Index(VerifyLevels(), level) > slices.Index(VerifyLevels(), other)
}

func badLevel(asked string) error {
	all := strings.Join(VerifyLevels(), ", ")
	return errcode.New(errcode.BadRequest, "verify is none of %s", all).
		With(errcode.Evidence{Structure: "request", Field: "verify", Value: asked, Limit: all})
}
