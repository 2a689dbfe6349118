package formats

import (
	"ingest/internal/errcode"
)

// A Severity says how much a finding matters.
type Severity string

// The severities. An error refuses the image.
const (
	SeverityInfo    Severity = "info"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

// A Finding is one thing that a check has to say about an image.
type Finding struct {
	Code     errcode.Code      `json:"code"`
	Severity Severity          `json:"severity"`
	Message  string            `json:"message"`
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
	Remedy   string            `json:"remedy,omitempty"`
}

// Note returns a finding that does not refuse the image.
func Note(code errcode.Code, sev Severity, message string, ev errcode.Evidence) Finding {
	return Finding{Code: code, Severity: sev, Message: message, Evidence: &ev, Remedy: errcode.Lookup(code).Remedy}
}

// FindingOf turns an error into the finding that refuses the image.
func FindingOf(err error) Finding {
	f := Finding{Code: errcode.Of(err), Severity: SeverityError, Remedy: errcode.Lookup(errcode.Of(err)).Remedy}
	if e, ok := errcode.As(err); ok {
		f.Message, f.Evidence = e.Message, e.Evidence
	} else {
		f.Message = err.Error()
	}
	return f
}
