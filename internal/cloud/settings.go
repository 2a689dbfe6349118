package cloud

import (
	"maps"
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// Settings are what is known of a cloud and of who asks, by the names of clouds.yaml.
// They hold secrets, and are not printed.
type Settings map[string]string

// The names of the settings that have no place below auth in clouds.yaml.
const (
	AuthType  = "auth_type"
	Region    = "region_name"
	Interface = "interface"
	Endpoint  = "image_endpoint_override"
	CACert    = "cacert"
	Cert      = "cert"
	Key       = "key"
	Verify    = "verify" // "false" trusts any certificate
)

// together are the settings of which a layer that has one hides all of the layers below.
var together = [][]string{
	{"password", "token", "application_credential_secret"},
	{"username", "user_id", "application_credential_id", "application_credential_name"},
	{"project_name", "project_id"},
	{"user_domain_name", "user_domain_id"},
	{"project_domain_name", "project_domain_id"},
	{Cert, Key},
}

// variables are the environment's names, the first of which counts.
var variables = []struct {
	setting string
	names   []string
}{
	{AuthType, []string{"OS_AUTH_TYPE"}},
	{"auth_url", []string{"OS_AUTH_URL"}},
	{"username", []string{"OS_USERNAME"}},
	{"user_id", []string{"OS_USER_ID"}},
	{"password", []string{"OS_PASSWORD"}},
	{"token", []string{"OS_TOKEN", "OS_AUTH_TOKEN"}},
	{"application_credential_id", []string{"OS_APPLICATION_CREDENTIAL_ID"}},
	{"application_credential_name", []string{"OS_APPLICATION_CREDENTIAL_NAME"}},
	{"application_credential_secret", []string{"OS_APPLICATION_CREDENTIAL_SECRET"}},
	{"project_name", []string{"OS_PROJECT_NAME", "OS_TENANT_NAME"}},
	{"project_id", []string{"OS_PROJECT_ID", "OS_TENANT_ID"}},
	{"user_domain_name", []string{"OS_USER_DOMAIN_NAME"}},
	{"user_domain_id", []string{"OS_USER_DOMAIN_ID"}},
	{"project_domain_name", []string{"OS_PROJECT_DOMAIN_NAME"}},
	{"project_domain_id", []string{"OS_PROJECT_DOMAIN_ID"}},
	{"default_domain", []string{"OS_DEFAULT_DOMAIN"}},
	{Region, []string{"OS_REGION_NAME"}},
	{Interface, []string{"OS_INTERFACE", "OS_ENDPOINT_TYPE"}},
	{Endpoint, []string{"OS_IMAGE_ENDPOINT_OVERRIDE", "OS_IMAGE_ENDPOINT", "OS_ENDPOINT_OVERRIDE", "OS_IMAGE_URL", "OS_ENDPOINT"}},
	{CACert, []string{"OS_CACERT"}},
	{Cert, []string{"OS_CERT"}},
	{Key, []string{"OS_KEY"}},
}

// Environment returns the settings of OS_* variables. lookup is os.Getenv.
func Environment(lookup func(string) string) Settings {
	s := Settings{}
	for _, v := range variables {
		for _, name := range v.names {
			if value := lookup(name); value != "" && s[v.setting] == "" {
				s[v.setting] = value
			}
		}
	}
	switch strings.ToLower(lookup("OS_INSECURE")) {
	case "1", "true", "yes":
		s[Verify] = "false"
	}
	return s
}

// Names reports whether the settings say where a cloud is.
func (s Settings) Names() bool { return s["auth_url"] != "" || s[Endpoint] != "" }

// String tells that there are settings, and none of them.
func (s Settings) String() string { return "settings of a cloud" }

// GoString is String, for %#v.
func (s Settings) GoString() string { return s.String() }

// Layered puts settings above each other: the first layer that has one counts.
func Layered(layers ...Settings) Settings {
	out := Settings{}
	for _, layer := range layers {
		have := maps.Clone(out)
		for name, value := range layer {
			if value != "" && !hidden(have, name) {
				out[name] = value
			}
		}
	}
	return out
}

// hidden reports whether a setting of a lower layer does not count.
func hidden(have Settings, name string) bool {
	if have[name] != "" {
		return true
	}
	for _, group := range together {
		if slices.Contains(group, name) && slices.ContainsFunc(group, func(n string) bool { return have[n] != "" }) {
			return true
		}
	}
	return false
}

// invalid says what is wrong with a setting, without its value.
func invalid(setting, format string, args ...any) error {
	return errcode.New(errcode.CloudConfig, format, args...).With(errcode.Evidence{Structure: "cloud", Field: setting})
}
