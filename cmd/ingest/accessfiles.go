package main

import (
	"context"
	"path/filepath"

	"ingest/internal/access"
	"ingest/internal/config"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/identity"
)

// accessFiles are what the operator says of what callers may do.
type accessFiles struct {
	rules       func() *access.Rules
	protections func() *access.Protections
	watch       []func(context.Context)
}

// mayCreate judges properties that a source's own cloud says by the roles in the request: a
// workflow that was started by hand has none. It is nil if no properties are protected.
func (a *accessFiles) mayCreate() func(contract.ImportRequest, string) bool {
	if a.protections == nil {
		return nil
	}
	return func(r contract.ImportRequest, property string) bool {
		who := identity.Caller{Project: r.Owner, User: r.UserID, Roles: r.Roles}
		return a.protections().Allow(access.Create, property, who, a.rules())
	}
}

// openAccess reads the files.
func (s *services) openAccess() error {
	const remedy = "Correct the file; `ingest access list --rules FILE` lists everything that is wrong with one of rules."
	base, c := s.builtInRules(), s.c.Access
	s.access.rules = func() *access.Rules { return base }
	if c.Rules != "" {
		h, err := access.OpenRules(c.Rules, base, s.log)
		if err != nil {
			return notStarted(err, "the access rules cannot be used", remedy)
		}
		s.access.rules = h.Current
		s.access.watch = append(s.access.watch, func(ctx context.Context) { h.Run(ctx, policyEvery, nil) })
	}
	if c.Protections == "" {
		return nil
	}
	h, err := access.OpenProtections(c.Protections, access.Form(c.Form), s.log)
	if err == nil {
		if unknown := h.Current().Unknown(s.access.rules()); len(unknown) > 0 {
			err = errcode.New(errcode.AccessRulesInvalid, "%s:%d: %s", filepath.Base(c.Protections), unknown[0].Line, unknown[0].Message).
				With(errcode.Evidence{Structure: "property protections", Field: filepath.Base(c.Protections)})
		}
	}
	if err != nil {
		return notStarted(err, "the property protections cannot be used", "Correct the file; docs/access.md shows one.")
	}
	s.access.protections = h.Current
	s.access.watch = append(s.access.watch, func(ctx context.Context) { h.Run(ctx, policyEvery, nil) })
	return nil
}

// builtInRules are those that hold where no file says anything else.
func (s *services) builtInRules() *access.Rules {
	if s.c.Auth.Mode == config.AuthNone {
		return access.Open()
	}
	return access.Standard()
}

// watchAccess reads the files again when they change.
func (s *services) watchAccess(ctx context.Context) {
	for _, watch := range s.access.watch {
		go watch(ctx)
	}
}
