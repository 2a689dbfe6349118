package policy

import (
	"path/filepath"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/internal/reload"
)

// A Holder holds the policy in force and reads it again when its file changes. A
// nil Holder holds none.
type Holder = reload.Holder[*Policy]

// Open loads a policy and holds it.
func Open(path string, log zerolog.Logger) (*Holder, error) {
	return reload.Open(reload.Options[*Policy]{Path: path, Load: Load, Log: log})
}

// Load reads the policy of a file. What is wrong with it is
// errcode.PolicyInvalid.
func Load(path string) (*Policy, error) {
	p, problems, err := Read(path)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, invalid(filepath.Base(path), problems)
	}
	return p, nil
}

// Read is Load for those who want to see every problem.
func Read(path string) (*Policy, []Problem, error) {
	name := filepath.Base(path)
	raw, err := reload.Read(path, MaxBytes)
	if err != nil {
		return nil, nil, errcode.Wrap(err, errcode.PolicyInvalid, "read the policy file %s: %s", name, err).
			With(errcode.Evidence{Structure: "policy", Field: name})
	}
	p, problems := Parse(name, raw)
	return p, problems, nil
}
