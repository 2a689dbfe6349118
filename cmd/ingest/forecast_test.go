package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Plan makes the machine a Planner.
func (m *machine) Plan(_ context.Context, r contract.ImportRequest) (contract.Forecast, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r)
	return m.forecast, nil
}

// foretold is a forecast in which much is known.
func foretold() contract.Forecast {
	f := contract.NewForecast()
	f.Verdict = contract.VerdictAccepted
	f.Sources = []contract.ForecastSource{{Origin: "https://example.org", Resolved: "https://cdn.example.net", Redirects: 2, Driver: "http",
		Size: 3 << 20, Validator: "Tue, 14 Nov 2023 22:13:20 GMT", Ranges: true, Reason: "any range of this version can be read"}}
	f.Detected = &contract.Detected{Format: "qcow2", Subformat: "v3", VirtualSize: 1 << 30, AllocatedSize: 2 << 20}
	f.Disks = []contract.ForecastDisk{{Format: "qcow2", Subformat: "v3", VirtualSize: 1 << 30, AllocatedSize: 2 << 20, Summary: "Debian \x1b[31m13",
		Target: contract.TargetSpec{Format: "vhd", Options: map[string]string{"subformat": "fixed"}}, Verify: "full", MinDisk: 1,
		Stored: contract.ForecastSize{Bytes: 2 << 20, Basis: "16 pieces"}}}
	no := false
	f.Staging = contract.ForecastSpace{Needed: 0, Free: 1 << 30}
	f.Store = contract.ForecastSpace{Name: "local", Needed: 2 << 20, Free: 1 << 20, Enough: &no}
	f.Checks = []contract.ForecastCheck{{What: "digest of the source's bytes", Value: "sha256:ab"}}
	f.Policies = []contract.PolicyReport{{Verdicts: []contract.PolicyVerdict{{Rule: "formats", At: "p.yaml:3", Outcome: contract.PolicyWarn, Message: "no vhd"}}}}
	f.Time = contract.ForecastTime{Seconds: 61.2, Basis: "2 earlier imports"}
	f.Read = contract.ForecastRead{Bytes: 1 << 20, Requests: 9, Seconds: 0.34}
	return f
}

func TestImportDryRun(t *testing.T) {
	m := newMachine(t, idle)
	m.forecast = foretold()
	o := m.ingest("import", "https://example.org/d.qcow2?token=x", "--to", "azure", "--project", "red", "--dry-run", "-q")
	o.want(t, 0, `would be accepted\n\nsource\n  from +https://example.org\n  leads to +https://cdn.example.net, after 2 redirects\n  size +3.00 MiB \(3145728 bytes\)\n`+
		`  version +Tue, .* GMT \(weak\)\n  ranges +yes\n  read +in place: .*\n\ndisk\n  is +qcow2 v3\n  virtual size +1.00 GiB .*\n  data in it +2.00 MiB .*\n`+
		`  inside +Debian .*13\n  min_disk +1 GiB\n  becomes +vhd\n  options +subformat=fixed\n  verified +full\n  stored size +about 2.00 MiB .*\n    by +16 pieces\n`+
		`\nimport\n  staging +nothing\n  store +needs 2.00 MiB \(2097152 bytes\), free 1.00 MiB: NOT ENOUGH\n  quota +none configured\n`+
		`  proves +digest of the source's bytes sha256:ab\n  policy +warn: no vhd \(formats, p.yaml:3\)\n  time +about 1m2s, by 2 earlier imports\n  dry run read +1.00 MiB in 9 requests, 0.3 s\n`, ``)
	if strings.Contains(o.out, "\x1b") || strings.Contains(o.out, "token") {
		t.Errorf("shown as it came: %q", o.out)
	}
	if got := m.asked[0]; got.Owner != "red" || got.Target.Format != "azure" || got.Source.URL != "https://example.org/d.qcow2?token=x" {
		t.Errorf("asked %+v", got)
	}
	var f contract.Forecast
	o = m.ingest("import", "https://example.org/d.qcow2", "--dry-run", "--json", "-q").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &f); err != nil || !cmp.Equal(f, m.forecast) {
		t.Errorf("%v: %s", err, cmp.Diff(m.forecast, f))
	}
	m.forecast.About = &contract.About{Name: "web\x1b", MinRAM: 512, Tags: []string{"blue", "red"}, Properties: map[string]string{"hw_disk_bus": "scsi"}}
	o = m.ingest("import", "https://example.org/d.qcow2", "--dry-run", "-q").
		want(t, 0, `.*\nsaid by its cloud\n  name +web.*\n  min_ram +512 MiB\n  tags +blue, red\n  properties +hw_disk_bus=scsi\n\ndisk\n.*`, ``)
	if strings.Contains(o.out, "\x1b") {
		t.Errorf("shown as it came: %q", o.out)
	}
	m.forecast.Unknowns = []string{"structure: too much"}
	m.ingest("import", "https://example.org/d.qcow2", "--dry-run", "-q").
		want(t, 0, `would be accepted, as far as was looked\n.*\nnot looked at\n  structure: too much\n`, ``)
}

// A dry run whose import would be refused ends as the import does.
func TestImportDryRunThatIsRefused(t *testing.T) {
	m := newMachine(t, idle)
	m.forecast = contract.NewForecast()
	v := contract.ValueOf(errcode.New(errcode.Truncated, "the last cluster is missing").With(errcode.Evidence{Structure: "L2 table 3"}))
	m.forecast.Verdict, m.forecast.Stage, m.forecast.Error = contract.VerdictRefused, contract.StageValidate, &v
	const detail = `error: IMG_TRUNCATED the last cluster is missing\n  stage: validate\n  evidence: structure L2 table 3\n  what to do: .*`
	m.ingest("import", "http://h/i", "--dry-run", "-q").want(t, 1, `would be refused, at the stage validate\n.*`, detail)
	m.ingest("import", "http://h/i", "--dry-run", "-q", "--json").want(t, 1, `\{.*"verdict": ?"refused".*`, `\{.*IMG_TRUNCATED.*`)
	m.forecast = contract.NewForecast()
	m.ingest("import", "http://h/i", "--dry-run", "-q").want(t, 0, `not known: too little could be read\n.*time +unknown\n.*`, ``)
}

// An image of another cloud has its name there, unless the request gives one.
func TestNamesOfRequests(t *testing.T) {
	for source, want := range map[string]string{"glance:///web": "", "glance://h/a/web": "", "https://h/a/web": "web"} {
		req, err := new(importFlags).request(newImportCommand(&globals{}), source)
		if err != nil || req.Image.Name != want {
			t.Errorf("%s is called %q, want %q (%v)", source, req.Image.Name, want, err)
		}
	}
}
