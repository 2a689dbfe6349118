package access

import (
	"path/filepath"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/internal/reload"
)

// OpenRules reads a file over base and holds the rules that come of it.
func OpenRules(path string, base *Rules, log zerolog.Logger) (*reload.Holder[*Rules], error) {
	return reload.Open(reload.Options[*Rules]{
		Path: path, Log: log,
		Load: func(path string) (*Rules, error) { return LoadRules(path, base) },
		Told: func(r *Rules) {
			for _, p := range r.Unused() {
				log.Warn().Str("file", filepath.Base(path)).Int("line", p.Line).Msg(p.Message)
			}
		},
	})
}

// OpenProtections reads a file of property protections and holds them.
func OpenProtections(path string, form Form, log zerolog.Logger) (*reload.Holder[*Protections], error) {
	return reload.Open(reload.Options[*Protections]{
		Path: path, Log: log,
		Load: func(path string) (*Protections, error) { return LoadProtections(path, form) },
	})
}

// LoadRules reads a file over base. What is wrong with it is
// errcode.AccessRulesInvalid.
func LoadRules(path string, base *Rules) (*Rules, error) {
	r, problems, err := ReadRules(path, base)
	if err == nil && len(problems) > 0 {
		err = invalid("access rules", filepath.Base(path), problems)
	}
	return r, err
}

// ReadRules is LoadRules for those who want to see every problem.
func ReadRules(path string, base *Rules) (*Rules, []Problem, error) {
	raw, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	r, problems := base.Override(filepath.Base(path), raw)
	return r, problems, nil
}

// LoadProtections reads a file of property protections.
func LoadProtections(path string, form Form) (*Protections, error) {
	raw, err := read(path)
	if err != nil {
		return nil, err
	}
	p, problems := ParseProtections(raw, form)
	if len(problems) > 0 {
		return nil, invalid("property protections", filepath.Base(path), problems)
	}
	return p, nil
}

func read(path string) ([]byte, error) {
	raw, err := reload.Read(path, MaxBytes)
	if err != nil {
		name := filepath.Base(path)
		return nil, errcode.Wrap(err, errcode.AccessRulesInvalid, "read the file %s: %s", name, err).
			With(errcode.Evidence{Structure: "file", Field: name})
	}
	return raw, nil
}
