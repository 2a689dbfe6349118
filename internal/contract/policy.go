package contract

import "ingest/internal/errcode"

// PolicyStage is the stage of the reports that hold a PolicyReport.
const PolicyStage = "policy"

// Points of an import at which the operator's policy is asked.
const (
	PolicySubmission = "submission" // what the request says
	PolicyValidation = "validation" // what detection, checks and inspection found
	PolicyActivation = "activation" // what was verified, just before the images become active
)

// Outcomes of a policy's rule.
const (
	PolicyAllow  = "allow"
	PolicyDeny   = "deny"
	PolicyWarn   = "warn"   // would be denied, but the code is soft
	PolicyInject = "inject" // a property is given to the image
)

// A PolicyReport says what the operator's policy had to say of an import at one
// point. Nothing in it is secret: URLs have neither user nor query, and the
// policy's file has no folder.
type PolicyReport struct {
	Point    string          `json:"point"`
	Disk     int             `json:"disk,omitempty"` // as in ValidateParams
	Policy   string          `json:"policy"`         // name of the policy's file
	Digest   string          `json:"digest"`         // "sha256:HEX" of the file's bytes
	Project  string          `json:"project"`
	Roles    []string        `json:"roles,omitempty"`
	Verdicts []PolicyVerdict `json:"verdicts"`
}

// A PolicyVerdict is what one rule says of one subject.
type PolicyVerdict struct {
	Rule     string            `json:"rule"`    // such as "projects.acme.sources[2]"
	At       string            `json:"at"`      // FILE:LINE of the rule
	Subject  string            `json:"subject"` // what was judged, such as "source https://example.org/a.qcow2"
	Outcome  string            `json:"outcome"`
	Code     errcode.Code      `json:"code,omitempty"` // of deny and warn
	Message  string            `json:"message"`
	Exempt   string            `json:"exempt,omitempty"` // role that turned a denial into allow
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
	Remedy   string            `json:"remedy,omitempty"` // of deny and warn
}

// Denied returns the verdict that denies, the first one if there are several.
func (r PolicyReport) Denied() (PolicyVerdict, bool) {
	for _, v := range r.Verdicts {
		if v.Outcome == PolicyDeny {
			return v, true
		}
	}
	return PolicyVerdict{}, false
}

// Err returns the error of the verdict that denies, nil if none does. It names
// the rule.
func (r PolicyReport) Err() error {
	v, denied := r.Denied()
	if !denied {
		return nil
	}
	err := errcode.New(v.Code, "%s (policy rule %s, %s)", v.Message, v.Rule, v.At)
	if v.Evidence != nil {
		err = err.With(*v.Evidence)
	}
	return err
}
