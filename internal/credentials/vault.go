package credentials

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
)

// maxFile bounds the credentials file, bytes.
const maxFile = 1 << 20

// envPrefix begins the variables of credentials.
const envPrefix = "INGEST_CREDENTIAL_"

// A Vault looks credentials up by name. It is safe for concurrent use; a nil
// Vault knows none.
type Vault struct {
	path string // "" for none
	env  map[string]*Credential

	mu   sync.Mutex
	seen stamp
	file map[string]*Credential
}

// stamp tells one version of the file from another.
type stamp struct {
	size int64
	time time.Time
	mode fs.FileMode
}

// Open reads the file, "" for none, and the environment, as os.Environ gives it.
func Open(path string, environ []string) (*Vault, error) {
	env, err := fromEnv(environ)
	if err != nil {
		return nil, err
	}
	v := &Vault{path: path, env: env}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v, v.load()
}

// Get returns the credential of a name, if it may be used so. The errors are
// errcode.CredentialUnknown, CredentialType, CredentialNotAllowed, and what is
// wrong with the file.
func (v *Vault) Get(name string, u Use) (*Credential, error) {
	if v == nil {
		return nil, unknown(name)
	}
	c, err := v.find(name)
	if err != nil {
		return nil, err
	}
	return c, c.allows(u)
}

func (v *Vault) find(name string) (*Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.load(); err != nil {
		return nil, err
	}
	if c := v.file[name]; c != nil {
		return c, nil
	}
	if c := v.env[name]; c != nil {
		return c, nil
	}
	return nil, unknown(name)
}

func unknown(name string) error {
	return errcode.New(errcode.CredentialUnknown, "there is no credential %q", errcode.Shown(name)).
		With(errcode.Evidence{Structure: "credentials", Field: "name", Value: errcode.Shown(name)})
}

// List returns what may be shown of all credentials, by name.
func (v *Vault) List() ([]Listed, error) {
	if v == nil {
		return nil, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.load(); err != nil {
		return nil, err
	}
	var out []Listed
	for _, c := range v.file {
		out = append(out, c.Listed())
	}
	for name, c := range v.env {
		if v.file[name] == nil {
			out = append(out, c.Listed())
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// load reads the file if it is another than the last time. One that is wrong is
// an error for every name until it is mended.
func (v *Vault) load() error {
	if v.path == "" {
		return nil
	}
	f, err := os.Open(v.path)
	if err != nil {
		v.file, v.seen = nil, stamp{}
		return errcode.Wrap(err, errcode.CredentialInvalid, "the credentials file cannot be read%s", why(err))
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return errcode.Wrap(err, errcode.CredentialInvalid, "the credentials file cannot be read")
	}
	now := stamp{fi.Size(), fi.ModTime(), fi.Mode()}
	if v.file != nil && now == v.seen {
		return nil
	}
	v.file, v.seen = nil, stamp{}
	if err := checkMode(fi); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil || len(b) > maxFile {
		return errcode.Wrap(err, errcode.CredentialInvalid, "the credentials file cannot be read, or has more than %d bytes", maxFile)
	}
	file, err := parse(b)
	if err != nil {
		return err
	}
	v.file, v.seen = file, now
	return nil
}

func why(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ": it does not exist"
	case errors.Is(err, fs.ErrPermission):
		return ": it may not be opened"
	}
	return ""
}

// checkMode refuses a file that others can read.
func checkMode(fi fs.FileInfo) error {
	if !fi.Mode().IsRegular() {
		return errcode.New(errcode.CredentialMode, "the credentials file is not a regular file")
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return errcode.New(errcode.CredentialMode, "the credentials file has mode %04o: others than its owner can read it", fi.Mode().Perm()).
			With(errcode.Evidence{Structure: "credentials", Field: "mode", Value: fi.Mode().Perm().String(), Limit: "-rw-------"})
	}
	return nil
}

// entry is one credential in the file. Fields of its type are among Fields.
type entry struct {
	Type      string         `yaml:"type"`
	Hosts     []string       `yaml:"hosts"`
	Projects  []string       `yaml:"projects"`
	Buckets   []string       `yaml:"buckets"`
	AllowHTTP bool           `yaml:"allow_http"`
	Fields    map[string]any `yaml:",inline"`
}

// parse reads the file's text. The YAML library's own messages quote the text,
// which may be a secret, so that only the line is told.
func parse(b []byte) (map[string]*Credential, error) {
	var in map[string]entry
	dec := yaml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		return nil, errcode.New(errcode.CredentialInvalid, "the credentials file is not YAML of named credentials%s", line(err))
	}
	out := map[string]*Credential{}
	for name, e := range in {
		c := &Credential{Name: name, Type: e.Type, Hosts: e.Hosts, Projects: e.Projects, Buckets: e.Buckets, AllowHTTP: e.AllowHTTP, fields: map[string]string{}}
		if !validName(name) {
			return nil, c.invalid("a name has up to 64 letters, digits, '-', '_' and '.'")
		}
		for k, v := range e.Fields {
			switch v := v.(type) {
			case string:
				c.fields[k] = v
			case bool:
				if v {
					c.fields[k] = "true"
				}
			default:
				return nil, c.invalid("its " + errcode.Shown(k) + " is not a text; put it in quotes")
			}
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		out[name] = c
	}
	return out, nil
}

// line returns the line that a YAML error names, and nothing else of it.
func line(err error) string {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 {
		return ""
	}
	return ", line " + rest[:end]
}

func validName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

// fromEnv reads the variables. INGEST_CREDENTIAL_LAB_S3_TYPE names lab-s3.
func fromEnv(environ []string) (map[string]*Credential, error) {
	out := map[string]*Credential{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(k, envPrefix)
		if !ok || v == "" {
			continue
		}
		name, fieldName := splitVariable(rest)
		if name == "" {
			return nil, errcode.New(errcode.CredentialInvalid, "the variable %s names no field of a credential", errcode.Shown(k))
		}
		c := out[name]
		if c == nil {
			c = &Credential{Name: name, fields: map[string]string{}}
			out[name] = c
		}
		switch fieldName {
		case "type":
			c.Type = v
		case "hosts":
			c.Hosts = strings.Split(v, ",")
		case "projects":
			c.Projects = strings.Split(v, ",")
		case "buckets":
			c.Buckets = strings.Split(v, ",")
		case "allow_http":
			c.AllowHTTP = v == "1" || v == "true"
		default:
			c.fields[fieldName] = v
		}
	}
	for _, c := range out {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// splitVariable takes a variable's end apart: the longest field that it ends in,
// and the name before it.
func splitVariable(s string) (name, fieldName string) {
	all := []string{"type", "hosts", "projects", "buckets", "allow_http"}
	for _, t := range Types() {
		fields, _ := fieldsOf(t)
		for _, f := range fields {
			all = append(all, f.name)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, f := range all {
		if n, ok := strings.CutSuffix(s, "_"+strings.ToUpper(f)); ok && n != "" {
			return strings.ReplaceAll(strings.ToLower(n), "_", "-"), f
		}
	}
	return "", ""
}
