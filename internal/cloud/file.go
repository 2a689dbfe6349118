package cloud

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
)

// maxFile bounds a file of clouds, bytes.
const maxFile = 4 << 20

// A file is one of clouds.yaml, secure.yaml and clouds-public.yaml.
type file struct {
	path   string
	Clouds map[string]entry `yaml:"clouds"`
	Public map[string]entry `yaml:"public-clouds"`
}

// An entry is a cloud as it is written.
type entry map[string]any

// Named returns the settings of a cloud of clouds.yaml, with its secrets of secure.yaml
// and what its profile says in clouds-public.yaml. lookup is os.Getenv.
func Named(name string, lookup func(string) string) (Settings, error) {
	clouds, err := find("clouds", lookup("OS_CLIENT_CONFIG_FILE"), lookup)
	if err != nil {
		return nil, err
	}
	if clouds.path == "" {
		return nil, errcode.New(errcode.CloudConfig, "the cloud %q is named, and there is no clouds.yaml in %s", errcode.Shown(name), strings.Join(folders(lookup), ", "))
	}
	one, ok := clouds.Clouds[name]
	if !ok {
		known := slices.Sorted(maps.Keys(clouds.Clouds))
		return nil, errcode.New(errcode.CloudConfig, "%s has no cloud %q: it has %s", clouds.path, errcode.Shown(name), errcode.Shown(strings.Join(known, ", "))).
			With(errcode.Evidence{Structure: clouds.path, Field: "clouds", Value: errcode.Shown(name)})
	}
	secure, err := find("secure", lookup("OS_CLIENT_SECURE_FILE"), lookup)
	if err != nil {
		return nil, err
	}
	layers := []Settings{secure.Clouds[name].settings(), one.settings()}
	if profile := one.profile(); profile != "" {
		public, err := find("clouds-public", lookup("OS_CLIENT_VENDOR_FILE"), lookup)
		if err != nil {
			return nil, err
		}
		vendor, ok := public.Public[profile]
		if !ok {
			return nil, errcode.New(errcode.CloudConfig, "the profile %q of cloud %q is in no clouds-public.yaml", errcode.Shown(profile), errcode.Shown(name))
		}
		layers = append(layers, vendor.settings())
	}
	return Layered(layers...), nil
}

// Clouds lists the names of the clouds of clouds.yaml.
func Clouds(lookup func(string) string) []string {
	f, err := find("clouds", lookup("OS_CLIENT_CONFIG_FILE"), lookup)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(f.Clouds))
}

// folders are where files of clouds are looked for, in this order.
func folders(lookup func(string) string) []string {
	home := lookup("XDG_CONFIG_HOME")
	if home == "" && lookup("HOME") != "" {
		home = filepath.Join(lookup("HOME"), ".config")
	}
	out := []string{"."}
	if home != "" {
		out = append(out, filepath.Join(home, "openstack"))
	}
	return append(out, "/etc/openstack")
}

// find reads the first file of a name that there is. Without one its path is "".
func find(name, at string, lookup func(string) string) (file, error) {
	if at != "" {
		return read(at)
	}
	for _, dir := range folders(lookup) {
		for _, ext := range []string{".yaml", ".yml", ".json"} {
			f, err := read(filepath.Join(dir, name+ext))
			if !errors.Is(err, fs.ErrNotExist) {
				return f, err
			}
		}
	}
	return file{}, nil
}

// read reads a file. What is wrong with it is told by its line, without its text, which
// may be a password.
func read(path string) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return file{}, errcode.Wrap(err, errcode.CloudConfig, "read %s: %v", path, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return file{}, errcode.Wrap(err, errcode.CloudConfig, "read %s: %v", path, err)
	}
	if len(raw) > maxFile {
		return file{}, errcode.New(errcode.CloudConfig, "%s has more than %d bytes", path, maxFile)
	}
	out := file{path: path}
	if err := yaml.Unmarshal(raw, &out); err != nil {
		return file{}, errcode.New(errcode.CloudConfig, "%s cannot be read%s: it is no file of clouds", path, line(err))
	}
	return out, nil
}

// line is where a file is wrong, " in line N", as far as the library tells.
func line(err error) string {
	_, after, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return ""
	}
	n := 0
	if _, err := fmt.Sscanf(after, "%d", &n); err != nil {
		return ""
	}
	return fmt.Sprintf(" in line %d", n)
}

// profile is the name of the public cloud that an entry is of.
func (e entry) profile() string {
	if p := text(e["profile"]); p != "" {
		return p
	}
	return text(e["cloud"])
}

// settings are those of an entry.
func (e entry) settings() Settings {
	s := Settings{}
	for name, value := range nested(e["auth"]) {
		s[name] = text(value)
	}
	for _, name := range []string{AuthType, Region, Interface, Endpoint, CACert, Cert, Key, Verify} {
		s[name] = text(e[name])
	}
	for name, other := range map[string]string{Interface: "endpoint_type", Endpoint: "image_endpoint"} {
		if s[name] == "" {
			s[name] = text(e[other])
		}
	}
	s.alias("project_name", "tenant_name")
	s.alias("project_id", "tenant_id")
	s.alias("project_domain_name", "domain_name")
	s.alias("project_domain_id", "domain_id")
	s.alias("user_domain_name", "domain_name")
	s.alias("user_domain_id", "domain_id")
	if s[Region] == "" {
		s[Region] = firstRegion(e["regions"])
	}
	return s
}

// alias takes a setting from an older name.
func (s Settings) alias(name, old string) {
	if s[name] == "" {
		s[name] = s[old]
	}
}

// firstRegion is the region that is meant where several are listed.
func firstRegion(v any) string {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return ""
	}
	if one := nested(list[0]); one != nil {
		return text(one["name"])
	}
	return text(list[0])
}

// nested is a mapping below an entry, nil if the value is none.
func nested(v any) entry {
	switch v := v.(type) {
	case entry: // the type that yaml.v3 gives what lies in one
		return v
	case map[string]any:
		return v
	}
	return nil
}

// text is a value as it is written: a project may be called 7.
func text(v any) string {
	switch v := v.(type) {
	case nil, entry, map[string]any, []any:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}
