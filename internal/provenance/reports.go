package provenance

import (
	"bytes"
	"encoding/json"

	"ingest/internal/contract"
)

// detection is what a record takes from the report of detection.
type detection struct {
	Compression string      `json:"compression"`
	Creator     string      `json:"creator"`
	Findings    []Finding   `json:"findings"`
	Checks      []Check     `json:"checks"`
	Disks       []detection `json:"disks"`
}

// disk is the n-th disk of what was detected, from 1.
func (d *detection) disk(n int) detection {
	if i := max(n, 1) - 1; i < len(d.Disks) {
		return d.Disks[i]
	}
	return *d
}

// validation is what a record takes from the report of validation.
type validation struct {
	Disk     int             `json:"disk"`
	Findings []Finding       `json:"findings"`
	Guest    json.RawMessage `json:"guest"`
}

// found is what a task's reports say of one disk. A report that cannot be read is as
// good as none.
type found struct {
	n          int // number of the disk, from 1
	detection  *detection
	validation *validation
	guest      any
	policy     []any
}

// reportsOf takes the last report of each kind, since a source that had to be fetched
// again was looked at again, and those of the policy at each point.
func reportsOf(in Import) found {
	out := found{n: max(in.Done.Disk, 1)}
	at := map[string]int{} // index of a point's report in out.policy
	for _, r := range in.Reports {
		switch r.Stage {
		case string(contract.StageDetect):
			var d detection
			if json.Unmarshal(r.Detail, &d) == nil {
				out.detection = &d
			}
		case string(contract.StageValidate):
			var v validation
			if json.Unmarshal(r.Detail, &v) == nil && out.mine(v.Disk) {
				out.validation, out.guest = &v, decode(v.Guest)
			}
		case contract.PolicyStage:
			var p contract.PolicyReport
			if json.Unmarshal(r.Detail, &p) != nil || !out.mine(p.Disk) {
				continue
			}
			if i, again := at[p.Point]; again {
				out.policy[i] = decode(r.Detail)
				continue
			}
			at[p.Point] = len(out.policy)
			out.policy = append(out.policy, decode(r.Detail))
		}
	}
	return out
}

// mine reports whether a report is about the disk: 0 is the only one, or all.
func (f found) mine(disk int) bool { return disk == 0 || disk == f.n }

// detected lists what detection noticed of the container and of the disk.
func (f found) detected(b budget) *Findings {
	if f.detection == nil {
		return nil
	}
	findings, checks := f.detection.Findings, f.detection.Checks
	if len(f.detection.Disks) > 0 {
		of := f.detection.disk(f.n)
		findings, checks = of.Findings, of.Checks
	}
	out := listed(findings, b)
	for _, c := range checks[:min(len(checks), b.list)] {
		out.Checks = append(out.Checks, Check{c.Name, c.Result})
	}
	out.Omitted += len(checks) - len(out.Checks)
	return out
}

// structure lists what validation noticed.
func (f found) structure(b budget) *Findings {
	if f.validation == nil {
		return nil
	}
	return listed(f.validation.Findings, b)
}

func listed(all []Finding, b budget) *Findings {
	out := &Findings{Findings: []Finding{}}
	out.Findings = append(out.Findings, all[:min(len(all), b.list)]...)
	out.Omitted = len(all) - len(out.Findings)
	return out
}

// decode reads any JSON value with its numbers as they are written, nil if it is none.
func decode(p json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}
