package identity

import (
	"context"
	"slices"
)

// Roles as OpenStack's default policies know them. Each but service contains those
// below it: an admin is a member, a member is a reader.
const (
	Admin   = "admin"
	Member  = "member"
	Reader  = "reader"
	Service = "service"
)

// A Caller is the one on whose behalf a request is made. The zero Caller is nobody.
type Caller struct {
	Project     string   // id of the project; it owns what the caller makes
	ProjectName string   // "" if it is not known
	Domain      string   // id of the project's domain, "" if it is not known
	User        string   // id
	UserName    string   // "" if it is not known
	Roles       []string // as they were granted, without those that they imply
	// ServiceRoles are those of the service that passes the request on, if one
	// proved itself beside the user.
	ServiceRoles []string
}

// Has reports whether the caller was granted the role, or one that contains it.
func (c Caller) Has(role string) bool {
	if slices.Contains(c.Roles, role) {
		return true
	}
	switch role {
	case Reader:
		return c.Has(Member)
	case Member:
		return c.Has(Admin)
	}
	return false
}

type key struct{}

// With returns a context in which requests are made on behalf of c.
func With(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, key{}, c) }

// From returns the caller of a request; the zero Caller if nobody is known.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}
