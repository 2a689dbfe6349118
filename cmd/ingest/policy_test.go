package main

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"ingest/api"
	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/policy"
)

const somePolicy = `version: 1
defaults:
  source_formats: [raw, qcow2]
  limits: {virtual_size: 1GiB}
  require:
    - {host: mirror.example.org, need: [signature], keyrings: [debian]}
  target_formats: [vhd, raw]
  codes: {hard: [IMG_QCOW2_DIRTY]}
  guest: {os_distro: [debian]}
projects:
  acme:
    exempt: {admin: all}
    limits: {virtual_size: none}
`

// policyFile puts a policy into the current folder and names it.
func policyFile(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("policy.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "policy.yaml"
}

func TestPolicyCheck(t *testing.T) {
	m := newMachine(t, idle)
	file := policyFile(t, somePolicy)
	m.ingest("policy", "check", file).want(t, 0, `policy.yaml is right, sha256:[0-9a-f]{64}\n\nevery project\nLINE +RULE +SAYS\n`+
		` +3 +defaults.source_formats +raw, qcow2\n.*project acme\n.* +13 +projects.acme.limits.virtual_size +no limit\n`, ``)
	o := m.ingest("policy", "check", file, "--project", "acme").want(t, 0, `.*project acme\n.*`, ``)
	var got struct {
		OK       bool
		Digest   string
		Defaults []policy.Rule
		Projects map[string][]policy.Rule
	}
	o = m.ingest("policy", "check", file, "--project", "acme", "--json").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || !got.OK || got.Digest == "" || got.Defaults != nil || len(got.Projects) != 1 || len(got.Projects["acme"]) < 4 {
		t.Errorf("%v: %s", err, o.out)
	}

	bad := policyFile(t, "version: 1\ndefaults:\n  source_formats: [floppy]\n  colour: red\n")
	const problems = `policy.yaml:3: .*"floppy".*\npolicy.yaml:4: .*colour.*\n`
	m.ingest("policy", "check", bad).want(t, 1, problems, ``)
	m.ingest("policy", "check", bad, "--json").want(t, 1, `\{.*"ok": false.*"line": 3.*"line": 4.*\}\n`, ``)
	m.ingest("policy", "check", "absent.yaml").want(t, 1, ``, `error: POLICY_INVALID .*absent.yaml.*`)
	m.ingest("policy", "check").want(t, 2, ``, `.*`)
}

func TestPolicyTest(t *testing.T) {
	m := newMachine(t, idle)
	file := policyFile(t, somePolicy)
	const far, near = "https://mirror.example.org/a.qcow2", "https://elsewhere.example.org/a.qcow2"
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		out    string
		errOut string
	}{
		{"nothing denies", []string{"--source", near}, 0, `submission: project default, policy policy.yaml sha256:\S+\n  no rule has anything to say\n\nnothing is denied\n`, ``},
		{"without a signature", []string{"--source", far}, 1,
			`.*deny +policy.yaml:6 +defaults.require\[1\] +https://mirror.example.org/a.qcow2 needs a signature.*error: IMG_POLICY_UNVERIFIED .*\(policy rule defaults.require\[1\], policy.yaml:6\)\n.*what to do: .*`, ``},
		{"with a signature", []string{"--source", far, "--checksum-file", "auto", "--keyring", "debian"}, 0, `.*allow +policy.yaml:6 .*\nnothing is denied\n`, ``},
		{"of another keyring", []string{"--source", far, "--signature", "auto", "--keyring", "other"}, 1, `.*IMG_POLICY_UNVERIFIED.*`, ``},
		{"format", []string{"--source", near, "--format", "vhdx"}, 1, `.*deny +policy.yaml:3 +defaults.source_formats.*validation: .*IMG_POLICY_FORMAT.*`, ``},
		{"limit", []string{"--source", near, "--format", "raw", "--virtual-size", "1073741825", "--fact", "os_distro=debian"}, 1, `.*deny +policy.yaml:4 .*IMG_POLICY_LIMIT.*`, ``},
		{"of a project", []string{"--source", near, "--format", "raw", "--virtual-size", "1073741825", "--fact", "os_distro=debian", "--project", "acme"}, 0, `.*project acme.*nothing is denied\n`, ``},
		{"exempt", []string{"--source", near, "--format", "vhdx", "--fact", "os_distro=debian", "--project", "acme", "--role", "admin"}, 0, `.*the role "admin" is exempt.*`, ``},
		{"finding", []string{"--source", near, "--format", "qcow2", "--fact", "os_distro=debian", "--finding", "IMG_QCOW2_DIRTY"}, 1, `.*deny +policy.yaml:8 .*IMG_POLICY_FINDING.*`, ``},
		{"guest", []string{"--source", near, "--format", "qcow2", "--fact", "os_distro=plan9"}, 1, `.*deny +policy.yaml:9 .*IMG_POLICY_GUEST.*`, ``},
		{"preset", []string{"--source", near, "--format", "raw", "--fact", "os_distro=debian", "--to", "azure"}, 0, `.*allow +policy.yaml:7 +defaults.target_formats +target format vhd is allowed\n.*`, ``},
		{"preset of another format", []string{"--source", near, "--format", "raw", "--fact", "os_distro=debian", "--to", "AWS"}, 1, `.*deny +policy.yaml:7 .*the target format vmdk is not allowed.*IMG_POLICY_FORMAT.*`, ``},
		{"no target", []string{"--source", near, "--format", "raw", "--to", "floppy"}, 1, ``, `error: IMG_TARGET_FORMAT .*`},
		{"no source", nil, 2, ``, `.*--source is missing.*`},
		{"no fact", []string{"--source", near, "--format", "raw", "--fact", "debian"}, 2, ``, `.*NAME=VALUE.*`},
		{"no code", []string{"--source", near, "--format", "raw", "--finding", "RAIN"}, 2, ``, `.*"RAIN" is no code.*`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.ingest(append([]string{"policy", "test", "--policy", file}, c.args...)...).want(t, c.code, c.out, c.errOut)
		})
	}
	t.Setenv("INGEST_POLICY", "")
	m.ingest("policy", "test", "--source", near).want(t, 2, ``, `.*--policy FILE is missing.*`)
	o := m.ingest("policy", "test", "--policy", file, "--source", far, "--json").want(t, 1, `.*`, ``)
	var got wire.TaskPolicy
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || got.DeniedBy == nil || got.DeniedBy.At != "policy.yaml:6" || len(got.Reports) != 1 {
		t.Errorf("%v: %s", err, o.out)
	}
}

// What a request is refused for at its submission is told with rule and line, by a dry
// run too; what a task was refused for, by explain.
func TestPolicyExplain(t *testing.T) {
	p, err := policy.Load(policyFile(t, somePolicy))
	if err != nil {
		t.Fatal(err)
	}
	judged := func(m *machine, r contract.ImportRequest) {
		for _, rep := range []contract.PolicyReport{p.Submission(r), p.Validation(policy.Validation{Request: r, Detected: contract.Detected{Format: "vhdx"}})} {
			if err := m.cat.AddReport(context.Background(), r.TaskID, "", contract.PolicyStage, rep); err != nil {
				m.t.Error(err)
			}
		}
	}
	m := newMachine(t, judged, func(d *api.Deps) { d.Policy = func() *policy.Policy { return p } })
	const refused = `error: IMG_POLICY_UNVERIFIED .*\(policy rule defaults.require\[1\], policy.yaml:6\)\n.*what to do: .*`
	m.ingest("import", "https://mirror.example.org/a.qcow2", "-q").want(t, 1, ``, refused)
	m.ingest("import", "https://mirror.example.org/a.qcow2", "-q", "--dry-run").want(t, 1, ``, refused)
	if len(m.asked) != 0 {
		t.Fatalf("begun: %+v", m.asked)
	}

	var sub wire.Submitted
	o := m.ingest("import", "https://elsewhere.example.org/a", "-q", "--no-wait", "--json").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &sub); err != nil {
		t.Fatal(err)
	}
	m.wg.Wait()
	m.ingest("policy", "explain", sub.TaskID).want(t, 0, `submission: project default, policy policy.yaml sha256:\S+\n  no rule has anything to say\n\nvalidation: .*`+
		`deny +policy.yaml:3 +defaults.source_formats .*error: IMG_POLICY_FORMAT .*\(policy rule defaults.source_formats, policy.yaml:3\)\n.*what to do: .*`, ``)
	var got wire.TaskPolicy
	o = m.ingest("policy", "explain", sub.TaskID, "--json").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || got.TaskID != sub.TaskID || len(got.Reports) != 2 || got.DeniedBy == nil || got.DeniedBy.Rule != "defaults.source_formats" {
		t.Errorf("%v: %s", err, o.out)
	}
	m.ingest("policy", "explain", sub.TaskID, "--project", "other").want(t, 1, ``, `error: NOT_FOUND .*`)

	free := newMachine(t, idle)
	o = free.ingest("import", "https://mirror.example.org/a", "-q", "--no-wait", "--json").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &sub); err != nil {
		t.Fatal(err)
	}
	free.ingest("policy", "explain", sub.TaskID).want(t, 0, `no policy was asked about this task\n`, ``)
}
