package policy

import (
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Forecast says what a policy holds of an import that a dry run has looked at.
// What is verified only with all bytes is judged by what the request asks for.
func (p *Policy) Forecast(r contract.ImportRequest, f contract.Forecast) []contract.PolicyReport {
	if p == nil {
		return nil
	}
	out := []contract.PolicyReport{p.Submission(r)}
	if f.Detected == nil || len(f.Sources) == 0 {
		return out
	}
	src := f.Sources[0]
	v := Validation{Request: r, Detected: *f.Detected, Findings: forecastFindings(f.Report),
		Fetched: contract.Fetched{Layer: src.Layer, Size: src.Size, SourceSize: src.Size}}
	for i, d := range f.Disks {
		if v.Disk = i + 1; len(f.Disks) == 1 {
			v.Disk = 0
		}
		v.Target, v.Facts = d.Target, d.Properties
		out = append(out, p.Validation(v))
	}
	return out
}

// forecastFindings reads the codes out of detection's report.
func forecastFindings(report json.RawMessage) []Finding {
	var rep struct {
		Findings []struct {
			Code     errcode.Code      `json:"code"`
			Message  string            `json:"message"`
			Evidence *errcode.Evidence `json:"evidence"`
		} `json:"findings"`
	}
	if json.Unmarshal(report, &rep) != nil {
		return nil
	}
	var out []Finding
	for _, f := range rep.Findings {
		out = append(out, Finding{Code: f.Code, Message: f.Message, Evidence: f.Evidence})
	}
	return out
}
