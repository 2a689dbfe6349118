package config

import "github.com/spf13/pflag"

// Access says what callers may do, beyond the rules that are built in.
type Access struct {
	Rules       string // file of rules that stand in place of built-in ones; "" is none
	Protections string // file of property protections; "" protects nothing
	Form        string // how protections say who is allowed: roles, policies
}

func (a *Access) flags(f *pflag.FlagSet) {
	f.StringVar(&a.Rules, "access-rules", "", "YAML or JSON `FILE` of rules of what callers may do, in the language of Glance's policy file; read again when it changes (see ingest access list)")
	f.StringVar(&a.Protections, "property-protections", "", "`FILE` that says who may do what with which properties of images, in the format of Glance's property-protections.conf; read again when it changes (default: nothing is protected)")
	f.StringVar(&a.Form, "property-protections-by", "roles", "what stands in it: roles (names of roles), policies (names of rules)")
}

func (a *Access) check() error {
	if a.Form != "roles" && a.Form != "policies" {
		return bad("--property-protections-by", a.Form, "is neither roles nor policies")
	}
	return nil
}
