package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

const example = `version: 1
defaults:
  exempt:
    image_admin: all
    ci: [require, limits]
  source_formats: [raw, qcow2, vmdk/streamOptimized]
  target_formats: [raw, qcow2]
  containers: [none, ova]
  compressions: [none, xz]
  sources:
    - {action: deny, host: "*.bad.example.org"}
    - {action: allow, scheme: https, host: "*.example.org", path: /images}
    - {action: allow, scheme: http, host: "127.0.0.1:*"}
    - {action: allow, scheme: file, path: /srv/images}
  limits: {virtual_size: 1GiB, source_bytes: 1MiB, expansion_ratio: 4096}
  codes:
    hard: [IMG_QCOW2_DIRTY]
    soft: [IMG_OVA_MANIFEST_MISMATCH]
  require:
    - {host: cloud.example.org, need: signature, keyrings: [debian]}
    - {host: md5.example.org, need: digest, algorithms: [md5, sha256]}
    - {host: sums.example.org, path: /open, need: none}
    - {host: sums.example.org, need: [checksum_file, signature]}
    - {scheme: https, need: digest}
  properties:
    hw_disk_bus: scsi
    owner_note: {value: checked, override: true}
  guest:
    os_distro: [debian, ubuntu]
projects:
  acme:
    source_formats: any
    require: none
    limits: {virtual_size: none}
    guest: {os_distro: any, missing: allow}
    codes: {soft: [IMG_POLICY_SOURCE]}
    properties:
      hw_disk_bus: {value: virtio, override: true}
`

func parsed(t *testing.T, text string) *Policy {
	t.Helper()
	p, problems := Parse("policy.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return p
}

// decided is the code of a report's denial, "" if it has none.
func decided(r contract.PolicyReport) errcode.Code {
	v, _ := r.Denied()
	return v.Code
}

func TestSubmission(t *testing.T) {
	p := parsed(t, example)
	type src = contract.SourceSpec
	sum := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		name    string
		project string
		roles   []string
		source  src
		target  string
		code    errcode.Code
		at      string // line that decides
	}{
		{name: "allowed place with a digest", source: src{URL: "https://a.example.org/images/x.qcow2", Checksum: sum}},
		{name: "without a digest", source: src{URL: "https://a.example.org/images/x.qcow2"}, code: errcode.PolicyUnverified, at: "24"},
		{name: "md5 does not count", source: src{URL: "https://a.example.org/images/x.qcow2", Checksum: "md5:00"}, code: errcode.PolicyUnverified},
		{name: "md5 where it does", source: src{URL: "https://md5.example.org/images/x", Checksum: "MD5:00"}},
		{name: "exempt from require", roles: []string{"ci"}, source: src{URL: "https://a.example.org/images/x"}},
		{name: "denied host wins by order", source: src{URL: "https://x.bad.example.org/images/x", Checksum: sum}, code: errcode.PolicySource, at: "11"},
		{name: "role exempt from other rules only", roles: []string{"ci"}, source: src{URL: "https://evil.test/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "role exempt from all", roles: []string{"x", "image_admin"}, source: src{URL: "https://evil.test/x"}},
		{name: "denied host on another port", source: src{URL: "https://x.bad.example.org:8443/images/x", Checksum: sum}, code: errcode.PolicySource, at: "11"},
		{name: "another scheme", source: src{URL: "http://a.example.org/images/x", Checksum: sum}, code: errcode.PolicySource, at: "10"},
		{name: "another port", source: src{URL: "https://a.example.org:8443/images/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "its own port written out", source: src{URL: "https://a.example.org:443/images/x", Checksum: sum}},
		{name: "the domain itself", source: src{URL: "https://example.org/images/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "a suffix that is no domain", source: src{URL: "https://evilexample.org/images/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "upper case and final dot", source: src{URL: "HTTPS://A.Example.ORG./images/x", Checksum: sum}},
		{name: "user info is no host", source: src{URL: "https://a.example.org@evil.test/images/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "beside the path", source: src{URL: "https://a.example.org/images2/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "out of the path", source: src{URL: "https://a.example.org/images/../x", Checksum: sum}, code: errcode.PolicySource},
		{name: "out of the path, encoded", source: src{URL: "https://a.example.org/images/%2e%2e/x", Checksum: sum}, code: errcode.PolicySource},
		{name: "out of the path, encoded slash", source: src{URL: "https://a.example.org/images/..%2fx", Checksum: sum}, code: errcode.PolicySource},
		{name: "any port of loopback", source: src{URL: "http://127.0.0.1:4711/x"}},
		{name: "a file", source: src{URL: "/srv/images/x"}},
		{name: "a file URL", source: src{URL: "file:///srv/images/x"}},
		{name: "a file elsewhere", source: src{URL: "/srv/images/../secret"}, code: errcode.PolicySource},
		{name: "a member elsewhere", source: src{URL: "/srv/images/x", Members: []contract.MemberSpec{{URL: "/etc/x"}}}, code: errcode.PolicySource},
		{name: "a checksum file elsewhere", source: src{URL: "/srv/images/x", ChecksumFile: "https://evil.test/S"}, code: errcode.PolicySource},
		{name: "not a URL", source: src{URL: "https://[::1/x"}, code: errcode.PolicySource},
		{name: "signature of any keyring", source: src{URL: "https://cloud.example.org/images/x", Signature: "auto"}},
		{name: "signature of another keyring", source: src{URL: "https://cloud.example.org/images/x", Signature: "auto", Keyring: "mine"}, code: errcode.PolicyUnverified, at: "20"},
		{name: "a digest is no signature", source: src{URL: "https://cloud.example.org/images/x", Checksum: sum}, code: errcode.PolicyUnverified},
		{name: "either of two", source: src{URL: "https://sums.example.org/images/x", ChecksumFile: "auto"}},
		{name: "declared format", source: src{URL: "/srv/images/x", Format: "vhd"}, code: errcode.PolicyFormat, at: "6"},
		{name: "declared format, subformat unknown", source: src{URL: "/srv/images/x", Format: "vmdk"}},
		{name: "target", source: src{URL: "/srv/images/x"}, target: "vdi", code: errcode.PolicyFormat, at: "7"},
		{name: "a project's own formats", project: "acme", source: src{URL: "/srv/images/x", Format: "vhd"}},
		{name: "a project's soft code", project: "acme", source: src{URL: "https://evil.test/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := p.Submission(contract.ImportRequest{Owner: c.project, Roles: c.roles, Source: c.source, Target: contract.TargetSpec{Format: c.target}})
			v, _ := r.Denied()
			if v.Code != c.code {
				t.Fatalf("denied with %q (%s), want %q; all: %+v", v.Code, v.Message, c.code, r.Verdicts)
			}
			if c.at != "" && v.At != "policy.yaml:"+c.at {
				t.Errorf("decided at %s, want line %s", v.At, c.at)
			}
			if err := r.Err(); (err == nil) != (c.code == "") || errcode.Of(err) != c.code {
				t.Errorf("error %v", err)
			}
			if c.code != "" && (v.Remedy == "" || v.Evidence == nil || v.Rule == "" || errcode.Lookup(v.Code).HTTPStatus != 403) {
				t.Errorf("the denial is not whole: %+v", v)
			}
		})
	}
}

// A path that different programs read differently satisfies no demand, also where
// the first rule that it may be meant by demands nothing.
func TestCrookedPathsSatisfyNothing(t *testing.T) {
	p := parsed(t, "version: 1\ndefaults:\n  require:\n    - {path: /open, need: none}\n    - {need: digest}\n")
	for url, want := range map[string]errcode.Code{
		"https://h/open/x":       "",
		"https://h/x":            errcode.PolicyUnverified,
		"https://h/open/../x":    errcode.PolicyUnverified,
		"https://h/open/..%2Fx":  errcode.PolicyUnverified,
		"https://h/open//x":      errcode.PolicyUnverified,
		"https://h/other/%2e/ok": errcode.PolicyUnverified,
	} {
		if got := decided(p.Submission(contract.ImportRequest{Source: contract.SourceSpec{URL: url}})); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}

func TestValidation(t *testing.T) {
	p := parsed(t, example)
	good := func() Validation {
		return Validation{
			Request:  contract.ImportRequest{Source: contract.SourceSpec{URL: "http://127.0.0.1:1/x"}},
			Fetched:  contract.Fetched{URL: "http://127.0.0.1:1/x", Size: 1 << 20},
			Detected: contract.Detected{Format: "vmdk", Subformat: "streamoptimized", VirtualSize: 1 << 30},
			Target:   contract.TargetSpec{Format: "qcow2", DiskFormat: "qcow2"}, Facts: map[string]string{"os_distro": "debian"},
		}
	}
	cloud := "https://cloud.example.org/images/x"
	signed := contract.Verification{Kind: contract.VerifiedSignature, Algo: "sha256", Digest: "00", Keyring: "debian", Fingerprint: "F"}
	for _, c := range []struct {
		name   string
		change func(*Validation)
		code   errcode.Code
	}{
		{"all right", func(*Validation) {}, ""},
		{"subformat", func(v *Validation) { v.Detected.Subformat = "monolithicSparse" }, errcode.PolicyFormat},
		{"format", func(v *Validation) { v.Detected.Format = "vdi" }, errcode.PolicyFormat},
		{"target", func(v *Validation) { v.Target.DiskFormat = "vhd" }, errcode.PolicyFormat},
		{"container", func(v *Validation) { v.Detected.Container = "zip" }, errcode.PolicyContainer},
		{"allowed container", func(v *Validation) { v.Detected.Container = "ova" }, ""},
		{"compression", func(v *Validation) { v.Fetched.Layer, v.Fetched.SourceSize = "gzip", 1<<20 }, errcode.PolicyContainer},
		{"virtual size", func(v *Validation) { v.Detected.VirtualSize++ }, errcode.PolicyLimit},
		{"virtual size of a project", func(v *Validation) { v.Request.Owner, v.Detected.VirtualSize = "acme", 2<<30 }, ""},
		{"source bytes", func(v *Validation) { v.Fetched.Size++ }, errcode.PolicyLimit},
		{"ratio", func(v *Validation) { v.Fetched.Size = 1000 }, errcode.PolicyLimit},
		{"hard code", func(v *Validation) { v.Findings = []Finding{{Code: errcode.QCOW2Dirty, Message: "dirty"}} }, errcode.PolicyFinding},
		{"soft code", func(v *Validation) { v.Findings = []Finding{{Code: errcode.OVAManifest, Message: "differs"}} }, ""},
		{"another finding", func(v *Validation) { v.Findings = []Finding{{Code: errcode.SizeUnaligned}} }, ""},
		{"guest", func(v *Validation) { v.Facts["os_distro"] = "arch" }, errcode.PolicyGuest},
		{"guest unknown", func(v *Validation) { v.Facts = nil }, errcode.PolicyGuest},
		{"guest unknown, of a project", func(v *Validation) { v.Request.Owner, v.Facts = "acme", nil }, ""},
		{"guest of a data disk", func(v *Validation) {
			v.Facts, v.Disk = nil, 2
			d := contract.DetectedDisk{Format: "raw", VirtualSize: 512}
			v.Detected.Disks = []contract.DetectedDisk{d, d}
		}, ""},
		{"nothing verified", func(v *Validation) { v.Request.Source.URL, v.Fetched.URL = cloud, cloud }, errcode.PolicyUnverified},
		{"signed", func(v *Validation) {
			v.Request.Source.URL, v.Fetched.URL, v.Fetched.Verifications = cloud, cloud, []contract.Verification{signed}
		}, ""},
		{"signed by another keyring", func(v *Validation) {
			other := signed
			other.Keyring = "mine"
			v.Request.Source.URL, v.Fetched.URL, v.Fetched.Verifications = cloud, cloud, []contract.Verification{other}
		}, errcode.PolicyUnverified},
		{"signed over md5", func(v *Validation) {
			other := signed
			other.Algo = "md5"
			v.Request.Source.URL, v.Fetched.URL, v.Fetched.Verifications = cloud, cloud, []contract.Verification{other}
		}, errcode.PolicyUnverified},
		{"a member is not signed", func(v *Validation) {
			v.Request.Source.URL, v.Fetched.URL, v.Fetched.Verifications = cloud, cloud, []contract.Verification{signed}
			v.Request.Source.Members = []contract.MemberSpec{{URL: "https://cloud.example.org/images/m"}}
		}, errcode.PolicyUnverified},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := good()
			c.change(&v)
			r := p.Validation(v)
			if got := decided(r); got != c.code {
				t.Errorf("denied with %q, want %q: %+v", got, c.code, r.Verdicts)
			}
		})
	}
}

func TestSoftCodeWarns(t *testing.T) {
	p := parsed(t, example)
	r := p.Submission(contract.ImportRequest{Owner: "acme", Source: contract.SourceSpec{URL: "https://evil.test/x?token=s3cret"}})
	if len(r.Verdicts) == 0 || r.Verdicts[0].Outcome != contract.PolicyWarn || r.Verdicts[0].Code != errcode.PolicySource {
		t.Fatalf("verdicts %+v", r.Verdicts)
	}
	if strings.Contains(r.Verdicts[0].Subject+r.Verdicts[0].Message+r.Verdicts[0].Evidence.Value, "s3cret") {
		t.Errorf("a secret is shown: %+v", r.Verdicts[0])
	}
	if got := ImageCodes(p.Soft("")); len(got) != 1 || got[0] != errcode.OVAManifest {
		t.Errorf("soft codes %v", got)
	}
	if got := ImageCodes(p.Soft("acme")); len(got) != 0 {
		t.Errorf("soft codes of the project %v", got)
	}
}

func TestPropertiesOfProjects(t *testing.T) {
	p := parsed(t, example)
	type props = map[string]string
	for _, c := range []struct {
		project         string
		defaults, above props
	}{
		{"", props{"hw_disk_bus": "scsi"}, props{"owner_note": "checked"}},
		{"acme", props{}, props{"owner_note": "checked", "hw_disk_bus": "virtio"}},
	} {
		d, o := p.Properties(c.project)
		if diff := cmp.Diff([]props{c.defaults, c.above}, []props{d, o}); diff != "" {
			t.Errorf("project %q (-want +got):\n%s", c.project, diff)
		}
	}
}

// TestNoPolicy has the methods of a nil policy.
func TestNoPolicy(t *testing.T) {
	var p *Policy
	var h *Holder
	d, o := p.Properties("x")
	if r := p.Submission(contract.ImportRequest{}); r.Err() != nil || r.Digest != "" || len(r.Verdicts) != 0 ||
		p.Validation(Validation{}).Err() != nil || p.Activation(contract.ActivateParams{}).Err() != nil || d != nil || o != nil || h.Current() != nil || p.Soft("") != nil {
		t.Error("no policy has something to say")
	}
}

func TestProblemsHaveLines(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
		part string
	}{
		"empty":            {"", 0, "empty"},
		"not YAML":         {"version: [", 0, "not YAML"},
		"no version":       {"defaults: {}\n", 1, "missing"},
		"other version":    {"version: 2\n", 1, "version 1"},
		"a list":           {"- a\n", 1, "mapping"},
		"unknown key":      {"version: 1\ndefaults:\n  sourceformats: [raw]\n", 3, "source_formats"},
		"twice":            {"version: 1\ndefaults:\n  containers: [none]\n  containers: [ova]\n", 4, "twice"},
		"unknown format":   {"version: 1\ndefaults:\n  source_formats: [raw, qed]\n", 3, "qed"},
		"empty list":       {"version: 1\ndefaults:\n  source_formats: []\n", 3, "any"},
		"hardened softly":  {"version: 1\ndefaults:\n  codes:\n    soft: [IMG_QCOW2_BACKING_FILE]\n", 4, "never a mere warning"},
		"nested softly":    {"version: 1\ndefaults:\n  codes:\n    soft: [IMG_NESTED_FORMAT]\n", 4, "never a mere warning"},
		"hard and soft":    {"version: 1\ndefaults:\n  codes:\n    hard: [IMG_POLICY_GUEST]\n    soft: [IMG_POLICY_GUEST]\n", 4, "both"},
		"no code":          {"version: 1\ndefaults:\n  codes:\n    hard: [IMG_MADE_UP]\n", 4, "no code"},
		"size":             {"version: 1\ndefaults:\n  limits:\n    virtual_size: 9999999999TiB\n", 4, "no"},
		"negative size":    {"version: 1\ndefaults:\n  limits:\n    virtual_size: -1\n", 4, "size"},
		"no action":        {"version: 1\ndefaults:\n  sources:\n    - {host: a}\n", 4, "action"},
		"wild path":        {"version: 1\ndefaults:\n  sources:\n    - {action: allow, path: \"/a/*\"}\n", 4, "wildcards"},
		"wild host":        {"version: 1\ndefaults:\n  sources:\n    - {action: allow, host: \"a.*.b\"}\n", 4, "form"},
		"need":             {"version: 1\ndefaults:\n  require:\n    - {host: a}\n", 4, "needs"},
		"weak digest":      {"version: 1\ndefaults:\n  require:\n    - {need: digest, algorithms: [sha1]}\n", 4, "sha1"},
		"keyring":          {"version: 1\ndefaults:\n  require:\n    - {need: digest, keyrings: [a]}\n", 4, "signature"},
		"core property":    {"version: 1\ndefaults:\n  properties:\n    status: active\n", 4, "no property"},
		"no value":         {"version: 1\ndefaults:\n  properties:\n    a: {override: true}\n", 4, "no value"},
		"override":         {"version: 1\ndefaults:\n  properties:\n    a: {value: b, override: perhaps}\n", 4, "true or false"},
		"alias":            {"version: 1\ndefaults: &a\n  containers: [none]\nprojects: {x: *a}\n", 2, "anchors"},
		"second document":  {"version: 1\n---\nversion: 1\n", 0, "second"},
		"exempt something": {"version: 1\ndefaults:\n  exempt: {admin: [everything]}\n", 3, "everything"},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse("p", []byte(c.text))
			if p != nil || len(problems) == 0 {
				t.Fatal("taken")
			}
			first := problems[0]
			if c.line > 0 && first.Line != c.line || !strings.Contains(first.Message, c.part) {
				t.Errorf("got line %d: %s", first.Line, first.Message)
			}
		})
	}
	if _, problems := Parse("p", make([]byte, MaxBytes+1)); len(problems) != 1 {
		t.Error("a file that is too long is taken")
	}
}

func TestRulesAreListedWithLines(t *testing.T) {
	p := parsed(t, example)
	find := func(rules []Rule, id string) Rule {
		for _, r := range rules {
			if r.ID == id {
				return r
			}
		}
		t.Fatalf("no rule %s in %+v", id, rules)
		return Rule{}
	}
	if r := find(p.Rules(""), "defaults.limits.virtual_size"); r.At != "policy.yaml:15" || r.Says != "at most 1073741824" {
		t.Errorf("%+v", r)
	}
	if r := find(p.Rules("acme"), "projects.acme.limits.virtual_size"); r.At != "policy.yaml:34" || r.Says != "no limit" {
		t.Errorf("%+v", r)
	}
	find(p.Rules("acme"), "defaults.sources[2]")
}

func TestHolderKeepsWhatIsInForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(path, zerolog.Nop()); errcode.Of(err) != errcode.PolicyInvalid {
		t.Fatalf("a file that is not there: %v", err)
	}
	write("version: 1\n")
	var log strings.Builder
	h, err := Open(path, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	first := h.Current().Digest()
	write("version: 1\nnonsense: true\n")
	for range 2 {
		if err := h.Reload(); errcode.Of(err) != errcode.PolicyInvalid {
			t.Fatalf("broken file: %v", err)
		}
	}
	if h.Current().Digest() != first || strings.Count(log.String(), "stays") != 1 {
		t.Errorf("in force %s, log:\n%s", h.Current().Digest(), log.String())
	}
	write("version: 1\ndefaults: {containers: [none]}\n")
	now := make(chan os.Signal, 1)
	go h.Run(t.Context(), time.Hour, now)
	now <- os.Interrupt
	for h.Current().Digest() == first {
		select {
		case <-t.Context().Done():
			t.Fatal("not loaded")
		case <-time.After(time.Millisecond):
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("version: 1\ndefaults: &a\n  sources: [*a]\n"))
	f.Add([]byte("version: 1\nprojects: {\"\": {limits: {virtual_size: 8388608TiB}}}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, problems := Parse("f", raw)
		if (p == nil) == (len(problems) == 0) {
			t.Fatalf("policy %v with %d problems", p, len(problems))
		}
		if len(problems) > maxProblems {
			t.Fatalf("%d problems", len(problems))
		}
		if p == nil {
			return
		}
		for _, project := range append(p.Projects(), "", "other") {
			p.Rules(project)
			r := contract.ImportRequest{Owner: project, Source: contract.SourceSpec{URL: "https://example.org/a%2f..", Format: "raw"}}
			for _, v := range p.Submission(r).Verdicts {
				if v.Rule == "" || !strings.HasPrefix(v.At, "f:") {
					t.Fatalf("verdict %+v", v)
				}
			}
			p.Validation(Validation{Request: r, Fetched: contract.Fetched{URL: "https://example.org/a", Size: 1}, Detected: contract.Detected{Format: "raw", VirtualSize: 1 << 40}})
			p.Activation(contract.ActivateParams{Request: r})
		}
	})
}

func FuzzLocate(f *testing.F) {
	f.Add("https://a.example.org/images/x")
	f.Add("/srv/../x")
	f.Fuzz(func(t *testing.T, raw string) {
		l := locate(raw)
		p := pattern{scheme: "https", host: "a.example.org", path: "/images"}
		if p.matches(l, false) && (l.crooked || l.scheme != "https" || l.host != "a.example.org" || !strings.HasPrefix(l.path, "/images") || strings.Contains(l.path, "/..")) {
			t.Fatalf("%q is allowed: %+v", raw, l)
		}
	})
}

// The file that the documentation shows is a policy.
func TestDocumentedPolicy(t *testing.T) {
	raw, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(raw), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("no file is shown")
	}
	p := parsed(t, text)
	signed := contract.ImportRequest{Source: contract.SourceSpec{URL: "https://a.example.org/images/x", Checksum: "sha512:00"}}
	if err := p.Submission(signed).Err(); err != nil {
		t.Error(err)
	}
}
