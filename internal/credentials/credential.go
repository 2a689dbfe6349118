package credentials

import (
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// The types of credentials.
const (
	Basic     = "basic"     // username, password
	Bearer    = "bearer"    // token
	Header    = "header"    // header (its name), value
	URL       = "url"       // url: a whole secret URL, such as a presigned one
	S3        = "s3"        // access_key, secret_key … or profile, role …, or anonymous
	OpenStack = "openstack" // auth_url, application_credential_id, application_credential_secret …
)

// field says what a type takes.
type field struct {
	name     string
	required bool
}

// fieldsOf lists the fields of each type beside those of all.
func fieldsOf(kind string) ([]field, bool) {
	switch kind {
	case Basic:
		return []field{{"username", true}, {"password", true}}, true
	case Bearer:
		return []field{{"token", true}}, true
	case Header:
		return []field{{"header", true}, {"value", true}}, true
	case URL:
		return []field{{"url", true}}, true
	case S3:
		return []field{{"endpoint", false}, {"region", false}, {"style", false}, {"access_key", false}, {"secret_key", false},
			{"session_token", false}, {"profile", false}, {"role", false}, {"external_id", false}, {"web_identity_file", false},
			{"sts_endpoint", false}, {"anonymous", false}, {"instance", false}}, true
	case OpenStack:
		return []field{{"auth_url", true}, {"region", false}, {"interface", false}, {"application_credential_id", false},
			{"application_credential_name", false}, {"application_credential_secret", false}, {"username", false}, {"password", false},
			{"user_domain", false}, {"project_name", false}, {"project_domain", false}, {"project_id", false}}, true
	}
	return nil, false
}

// Types lists the types.
func Types() []string { return []string{Basic, Bearer, Header, URL, S3, OpenStack} }

// A Credential is one named secret. It prints as its name.
type Credential struct {
	Name      string
	Type      string
	Hosts     []string // host or host:port; "*.example.org" is every name below it
	Projects  []string // who may name it; none means all
	Buckets   []string // of type s3; none means all
	AllowHTTP bool     // may be sent without TLS to other hosts than this one

	fields map[string]string
}

// Field returns a field of the type, "" if it was not given. It may be a secret.
func (c *Credential) Field(name string) string { return c.fields[name] }

// String returns the name and nothing else.
func (c *Credential) String() string { return "credential " + c.Name }

// GoString is String, for %#v.
func (c *Credential) GoString() string { return c.String() }

// MarshalJSON gives what Listed shows.
func (c *Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.Listed()) }

// Listed is what may be shown of a credential.
type Listed struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Hosts     []string `json:"hosts"`
	Projects  []string `json:"projects,omitempty"`
	Buckets   []string `json:"buckets,omitempty"`
	AllowHTTP bool     `json:"allow_http,omitempty"`
}

// Listed returns what may be shown.
func (c *Credential) Listed() Listed {
	return Listed{Name: c.Name, Type: c.Type, Hosts: c.Hosts, Projects: c.Projects, Buckets: c.Buckets, AllowHTTP: c.AllowHTTP}
}

// check completes a credential and says what is wrong with it. No message holds
// a value.
func (c *Credential) check() error {
	fields, ok := fieldsOf(c.Type)
	if !ok {
		return c.invalid("its type is not one of " + strings.Join(Types(), ", "))
	}
	for _, f := range fields {
		if f.required && c.fields[f.name] == "" {
			return c.invalid("it has no " + f.name)
		}
	}
	for name := range c.fields {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			return c.invalid("a credential of type " + c.Type + " takes no " + errcode.Shown(name))
		}
	}
	if err := c.checkType(); err != nil {
		return err
	}
	if len(c.Hosts) == 0 {
		return c.invalid("it is bound to no host: say hosts: [HOST]")
	}
	for _, h := range c.Hosts {
		if h == "" || h == "*" || strings.ContainsAny(h, "/@? ") || strings.Contains(strings.TrimPrefix(h, "*."), "*") {
			return c.invalid("hosts are written HOST, HOST:PORT or *.DOMAIN")
		}
	}
	return nil
}

// checkType checks what only one type has. Where a field is the place that the
// secret is for, it is the binding.
func (c *Credential) checkType() error {
	bind := ""
	switch c.Type {
	case URL:
		bind = c.fields["url"]
	case OpenStack:
		bind = c.fields["auth_url"]
		if why := c.checkOpenStack(); why != "" {
			return c.invalid(why)
		}
	case S3:
		if bind = c.fields["endpoint"]; bind == "" && len(c.Hosts) == 0 {
			bind = "https://*." + amazon
		}
		if why := c.checkS3(); why != "" {
			return c.invalid(why)
		}
	case Header:
		if strings.ContainsAny(c.fields["header"]+c.fields["value"], "\r\n\x00") || strings.ContainsAny(c.fields["header"], " :") {
			return c.invalid("header and value are one line")
		}
	}
	if c.Type != S3 && len(c.Buckets) > 0 {
		return c.invalid("only a credential of type s3 is bound to buckets")
	}
	if bind == "" {
		return nil
	}
	u, err := url.Parse(bind)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return c.invalid("its endpoint, auth_url or url is not an http or https URL")
	}
	if len(c.Hosts) == 0 {
		c.Hosts = []string{u.Host}
	}
	return nil
}

// checkS3 says what is missing of a credential for buckets, or belongs to another way
// of saying who asks.
func (c *Credential) checkS3() string {
	has := func(name string) bool { return c.fields[name] != "" }
	ways := 0
	for _, name := range []string{"access_key", "profile", "instance", "web_identity_file", "anonymous"} {
		if has(name) {
			ways++
		}
	}
	switch {
	case has("access_key") != has("secret_key"):
		return "access_key and secret_key belong together"
	case ways == 0 && has("role"):
		return "a role is assumed with access_key, profile, instance or web_identity_file"
	case ways == 0:
		return "it has none of access_key, profile, instance, web_identity_file, anonymous"
	case ways > 1:
		return "it has more than one of access_key, profile, instance, web_identity_file, anonymous"
	case has("session_token") && !has("access_key"):
		return "a session_token belongs to an access_key"
	case !has("role") && (has("external_id") || has("web_identity_file") || has("sts_endpoint")):
		return "external_id, web_identity_file and sts_endpoint are for a role"
	case has("role") && has("anonymous"):
		return "nobody assumes a role"
	case has("style") && c.fields["style"] != "path" && c.fields["style"] != "virtual":
		return "style is path or virtual"
	case has("sts_endpoint"):
		if u, err := url.Parse(c.fields["sts_endpoint"]); err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || !c.MayGoOver(u) {
			return "its sts_endpoint is not an https URL of a server"
		}
	}
	return ""
}

// checkOpenStack says what is missing of an application credential, or of a password
// with its project; "" if one of them is whole.
func (c *Credential) checkOpenStack() string {
	has := func(name string) bool { return c.fields[name] != "" }
	switch {
	case has("application_credential_secret"):
		if !has("application_credential_id") && (!has("application_credential_name") || !has("username")) {
			return "an application credential has an id, or a name and a username"
		}
	case !has("username") || !has("password"):
		return "it has neither an application_credential_secret nor username and password"
	case !has("project_name") && !has("project_id"):
		return "a password is for a project: say project_name or project_id"
	}
	switch c.fields["interface"] {
	case "", "public", "internal", "admin":
		return ""
	}
	return "interface is public, internal or admin"
}

func (c *Credential) invalid(why string) error {
	return errcode.New(errcode.CredentialInvalid, "credential %q is refused: %s", errcode.Shown(c.Name), why).
		With(errcode.Evidence{Structure: "credentials", Field: errcode.Shown(c.Name)})
}

// A Use is what a credential is asked for. Empty fields but Project are not
// looked at.
type Use struct {
	Types   []string // the types that will do
	Project string   // who names it; "" is nobody's
	Bucket  string
	// Operator: the operator's own configuration names it, for every project.
	Operator bool
	// To is where it will be sent: scheme and host count. nil leaves that to
	// MayGoTo.
	To *url.URL
}

// allows says why the credential may not be used so, nil if it may.
func (c *Credential) allows(u Use) error {
	if len(u.Types) > 0 && !slices.Contains(u.Types, c.Type) {
		return errcode.New(errcode.CredentialType, "credential %q is of type %s", c.Name, c.Type).
			With(errcode.Evidence{Structure: "credential " + c.Name, Field: "type", Value: c.Type, Limit: strings.Join(u.Types, ", ")})
	}
	if len(c.Projects) > 0 && !u.Operator && !slices.Contains(c.Projects, u.Project) {
		return c.notAllowed("project", u.Project)
	}
	if len(c.Buckets) > 0 && u.Bucket != "" && !slices.Contains(c.Buckets, u.Bucket) {
		return c.notAllowed("bucket", u.Bucket)
	}
	if u.To != nil && !c.MayGoTo(u.To) {
		return c.notAllowed("host", u.To.Scheme+"://"+u.To.Host)
	}
	return nil
}

func (c *Credential) notAllowed(what, value string) error {
	return errcode.New(errcode.CredentialNotAllowed, "credential %q may not be used for this %s", c.Name, what).
		With(errcode.Evidence{Structure: "credential " + c.Name, Field: what, Value: errcode.Shown(value)})
}

// MayGoOver reports whether the credential may be sent by u's scheme: with TLS, and
// without it to this host or where the file allows it.
func (c *Credential) MayGoOver(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && (c.AllowHTTP || loopback(u.Hostname()))
}

// MayGoTo reports whether the credential may be sent to the host of u.
func (c *Credential) MayGoTo(u *url.URL) bool {
	if !c.MayGoOver(u) {
		return false
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	for _, h := range c.Hosts {
		name, p := strings.ToLower(h), ""
		if hh, pp, err := net.SplitHostPort(name); err == nil {
			name, p = hh, pp
		}
		name = strings.Trim(name, "[]")
		if p != "" && p != port && (port != "" || p != defaultPort(u.Scheme)) || p == "" && port != "" && port != defaultPort(u.Scheme) {
			continue
		}
		below, ok := strings.CutPrefix(name, "*.")
		if ok && below == amazon && !isAmazonS3(host) {
			continue
		}
		if name == host || ok && strings.HasSuffix(host, "."+below) {
			return true
		}
	}
	return false
}

// amazon is the domain of Amazon's services. Its customers' machines, load balancers
// and programming interfaces have names below it too, so that "*.amazonaws.com" means
// the hosts of S3 alone.
const amazon = "amazonaws.com"

// isAmazonS3 recognizes the hosts of S3 (Amazon S3 endpoints and quotas, "Amazon S3
// endpoints"), with a bucket in front or without: s3.amazonaws.com,
// s3.REGION.amazonaws.com, s3-REGION.amazonaws.com, and those for dual stack, FIPS and
// acceleration.
func isAmazonS3(host string) bool {
	front, ok := strings.CutSuffix(host, "."+amazon)
	if !ok {
		return false
	}
	parts := strings.Split(front, ".")
	last := len(parts) - 1
	if parts[last] == "s3" || strings.HasPrefix(parts[last], "s3-") {
		return true
	}
	// What stands there is a region, or "dualstack" behind "s3-accelerate".
	if last--; last > 0 && parts[last] == "dualstack" {
		last--
	}
	return last >= 0 && (parts[last] == "s3" || parts[last] == "s3-fips" || parts[last] == "s3-accelerate")
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
