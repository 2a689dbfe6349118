// Package quota reads what projects may use: limits for every project, and for
// single ones, in one YAML file with the names of Glance's unified limits.
//
//	defaults:
//	  image_count_total: 100
//	  image_size_total: 500GiB
//	projects:
//	  acme:
//	    image_size_total: 2TiB
//	    image_count_uploading: unlimited
//
// The most specific setting counts, limit by limit: that of the project, that of
// the file's defaults, that of the flags.
package quota

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
	"ingest/internal/reload"
	"ingest/metadata"
)

// MaxBytes is how large a file may be: a line for each of ten thousand projects
// fits.
const MaxBytes = 4 << 20

// A Set holds limits of all projects. A nil one holds none.
type Set struct {
	defaults metadata.Limits
	projects map[string]metadata.Limits
	digest   string // of the file that it comes from
}

// Digest tells one version of the file from another: SHA-256, in hexadecimal digits.
func (s *Set) Digest() string { return s.digest }

// New returns the set that gives every project the same limits.
func New(defaults metadata.Limits) *Set { return &Set{defaults: defaults} }

// Of returns the limits of a project.
func (s *Set) Of(project string) metadata.Limits {
	if s == nil {
		return metadata.NoLimits()
	}
	if l, ok := s.projects[project]; ok {
		return l
	}
	return s.defaults
}

// Load reads a file; base are the limits of those that it says nothing of. What
// is wrong with it is errcode.BadRequest.
func Load(path string, base metadata.Limits) (*Set, error) {
	name := filepath.Base(path)
	raw, err := reload.Read(path, MaxBytes)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.BadRequest, "read the quota file %s: %s", name, err)
	}
	return Parse(name, raw, base)
}

// row is the limits of the file, with nil for what it does not set.
type row struct {
	Images     *value `yaml:"image_count_total"`
	ImageBytes *value `yaml:"image_size_total"`
	StageBytes *value `yaml:"image_stage_total"`
	Uploading  *value `yaml:"image_count_uploading"`
}

// A value is one limit as it was written.
type value struct {
	text string
	line int
}

// UnmarshalYAML keeps the text, so that sizes and numbers are read alike.
func (v *value) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return errcode.New(errcode.BadRequest, "line %d: a limit is a number, a size or \"unlimited\"", n.Line)
	}
	v.text, v.line = n.Value, n.Line
	return nil
}

// Parse reads the text of a file; name is for messages.
func Parse(name string, text []byte, base metadata.Limits) (*Set, error) {
	if len(text) > MaxBytes {
		return nil, wrong(name, "it has more than %d bytes", MaxBytes)
	}
	var file struct {
		Defaults row            `yaml:"defaults"`
		Projects map[string]row `yaml:"projects"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, wrong(name, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, wrong(name, "there is something behind the first document")
	}
	digest := sha256.Sum256(text)
	s := &Set{projects: map[string]metadata.Limits{}, digest: hex.EncodeToString(digest[:])}
	var err error
	if s.defaults, err = file.Defaults.over(name, base); err != nil {
		return nil, err
	}
	for project, r := range file.Projects {
		if s.projects[project], err = r.over(name, s.defaults); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// over returns the limits of base with those of the row above them.
func (r row) over(name string, base metadata.Limits) (metadata.Limits, error) {
	out := base
	for _, l := range []struct {
		quota string
		from  *value
		to    *int64
		size  bool
	}{
		{metadata.QuotaImageCount, r.Images, &out.Images, false},
		{metadata.QuotaImageBytes, r.ImageBytes, &out.ImageBytes, true},
		{metadata.QuotaStageBytes, r.StageBytes, &out.StageBytes, true},
		{metadata.QuotaUploading, r.Uploading, &out.Uploading, false},
	} {
		if l.from == nil {
			continue
		}
		n, ok := number(l.from.text, l.size)
		if !ok {
			what := "a number such as 100"
			if l.size {
				what = "a size with its unit, such as 500GiB"
			}
			return out, wrong(name, "line %d: %s is %q; it must be %s, 0 or \"unlimited\"", l.from.line, l.quota, l.from.text, what)
		}
		*l.to = n
	}
	return out, nil
}

func wrong(name, format string, args ...any) error {
	return errcode.New(errcode.BadRequest, "the quota file "+strings.ReplaceAll(name, "%", "%%")+" cannot be used: "+format, args...).
		With(errcode.Evidence{Structure: "quota", Field: name})
}

// units are powers of 1024. Glance counts in MiB without saying so; here a size
// always names its unit.
var units = []struct {
	name  string
	shift int
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"PiB", 50}, {"B", 0}}

func number(s string, size bool) (int64, bool) {
	if s == "unlimited" || s == "-1" {
		return metadata.Unlimited, true
	}
	shift := 0
	if size && s != "0" {
		found := false
		for _, u := range units {
			if digits, ok := strings.CutSuffix(s, u.name); ok {
				s, shift, found = strings.TrimSpace(digits), u.shift, true
				break
			}
		}
		if !found {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift || s[0] == '+' {
		return 0, false
	}
	return n << shift, true
}
