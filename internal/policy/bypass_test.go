package policy

import (
	"reflect"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// The host of an s3 URL is a bucket, which every service may have: whose it is, the
// URL's endpoint says.
func TestEndpointsAreJudged(t *testing.T) {
	const rules = `version: 1
defaults:
  sources:
    - {action: deny, host: denied.example.org}
    - {action: allow, scheme: s3, host: images}
    - {action: allow, scheme: https, host: s3.example.org}
projects:
  open: {sources: [{action: deny, host: denied.example.org}, {action: allow, scheme: s3}]}
`
	p := parsed(t, rules)
	for _, c := range []struct {
		project, url string
		want         errcode.Code
	}{
		{"", "s3://images/a", ""},
		{"", "s3://images/a?endpoint=https://s3.example.org", ""},
		{"", "s3://images/a?endpoint=https%3A%2F%2Fs3.example.org:443", ""},
		{"", "s3://images/a?endpoint=https://evil.test", errcode.PolicySource},
		{"", "S3://images/a?endpoint=https://evil.test", errcode.PolicySource},
		{"", "s3://images/a?endpoint=http://s3.example.org", errcode.PolicySource},
		{"", "s3://images/a?endpoint=https://denied.example.org", errcode.PolicySource},
		{"", "s3://other/a?endpoint=https://s3.example.org", errcode.PolicySource},
		{"open", "s3://any/a?endpoint=https://any.test:9000", ""},
		{"open", "s3://any/a?endpoint=https://denied.example.org:9000", errcode.PolicySource},
	} {
		for name, s := range map[string]contract.SourceSpec{
			"source": {URL: c.url}, "member": {URL: "s3://images/a", Members: []contract.MemberSpec{{URL: c.url}}},
			"checksum file": {URL: "s3://images/a", ChecksumFile: c.url}, "signature": {URL: "s3://images/a", Signature: c.url},
		} {
			if got := decided(p.Submission(contract.ImportRequest{Owner: c.project, Source: s})); got != c.want {
				t.Errorf("%s %s of project %q: %q, want %q", name, c.url, c.project, got, c.want)
			}
		}
	}
}

// The host of a glance URL is the cloud's; a URL without one leaves it to the
// credential, which no entry with a host means. Where it led is judged behind it.
func TestCloudsAreJudged(t *testing.T) {
	p := parsed(t, `version: 1
defaults:
  sources:
    - {action: deny, host: denied.example.org}
    - {action: allow, scheme: glance, host: cloud.example.org}
    - {action: allow, host: "lab.example.org:9292"}
projects:
  open: {sources: [{action: deny, host: denied.example.org}, {action: allow, scheme: glance}]}
`)
	for _, c := range []struct {
		project, url string
		want         errcode.Code
	}{
		{"", "glance://cloud.example.org/web", ""},
		{"", "GLANCE://cloud.example.org:443/image/web", ""},
		{"", "glance://cloud.example.org/web?scheme=http", errcode.PolicySource},
		{"", "glance://cloud.example.org:9292/web", errcode.PolicySource},
		{"", "glance://lab.example.org:9292/web?scheme=http", ""},
		{"", "glance://denied.example.org:9292/web", errcode.PolicySource},
		{"", "glance:///web", errcode.PolicySource},
		{"open", "glance:///web", ""},
		{"open", "glance://any.test:9292/web", ""},
		{"open", "glance://denied.example.org/web", errcode.PolicySource},
	} {
		if got := decided(p.Submission(contract.ImportRequest{Owner: c.project, Source: contract.SourceSpec{URL: c.url}})); got != c.want {
			t.Errorf("%s of project %q: %q, want %q", c.url, c.project, got, c.want)
		}
	}
	led := contract.Fetched{URL: "glance:///web", Origin: &contract.Origin{URL: "https://denied.example.org:9292/v2/images/i/file"}}
	if got := decided(p.Validation(Validation{Request: contract.ImportRequest{Owner: "open", Source: contract.SourceSpec{URL: led.URL}}, Fetched: led})); got != errcode.PolicySource {
		t.Errorf("a credential that leads to a denied cloud: %q", got)
	}
}

// What is demanded of a cloud, or denied as one, holds too where its host is left to the
// credential.
func TestCloudsOfCredentialsMeetTheirRules(t *testing.T) {
	p := parsed(t, `version: 1
defaults:
  sources: [{action: deny, scheme: glance, host: denied.example.org}, {action: allow, scheme: glance}, {action: allow, host: files.example.org}]
  require: [{scheme: glance, host: cloud.example.org, need: [digest]}, {need: none}]
`)
	for at, want := range map[string]errcode.Code{
		"https://cloud.example.org:9292/v2/images/i/file": errcode.PolicyUnverified,
		"https://denied.example.org/v2/images/i/file":     errcode.PolicySource,
		"http://other.example.org/v2/images/i/file":       "",
	} {
		led := contract.Fetched{URL: "glance:///web", Origin: &contract.Origin{URL: at}}
		proved := led
		proved.Verifications = []contract.Verification{{Kind: contract.VerifiedDigest, Algo: "sha256"}}
		of := contract.ImportRequest{Source: contract.SourceSpec{URL: led.URL, Members: []contract.MemberSpec{{URL: "https://files.example.org/b"}}}}
		beside := contract.FetchedMember{Name: "b", Fetched: contract.Fetched{URL: "https://files.example.org/b"}}
		for _, f := range []*contract.Fetched{&led, &proved} {
			f.Members = []contract.FetchedMember{beside}
		}
		if got := decided(p.Validation(Validation{Request: of, Fetched: led})); got != want {
			t.Errorf("validation of %s: %q, want %q", at, got, want)
		}
		if got := decided(p.Activation(contract.ActivateParams{Request: of, Fetched: led})); got != want {
			t.Errorf("activation of %s: %q, want %q", at, got, want)
		}
		if got := decided(p.Validation(Validation{Request: of, Fetched: proved})); got != "" && want != errcode.PolicySource {
			t.Errorf("%s with a digest: %q", at, got)
		}
		// As a member it is judged likewise.
		of.Source.URL, of.Source.Members[0].URL = beside.URL, led.URL
		member := contract.Fetched{URL: beside.URL, Members: []contract.FetchedMember{{Name: "b", Fetched: contract.Fetched{URL: led.URL, Origin: led.Origin}}}}
		if got := decided(p.Validation(Validation{Request: of, Fetched: member})); got != want {
			t.Errorf("validation of the member %s: %q, want %q", at, got, want)
		}
	}
}

func TestEndpointsDoNotLowerDemands(t *testing.T) {
	p := parsed(t, `version: 1
defaults:
  require:
    - {host: strict.example.org, need: signature}
    - {scheme: s3, host: trusted, need: none}
    - {need: digest}
`)
	sum := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		url, sum string
		want     errcode.Code
	}{
		{"s3://trusted/a", "", ""},
		{"s3://trusted/a?endpoint=https://evil.test", "", errcode.PolicyUnverified},
		{"s3://trusted/a?endpoint=https://evil.test", sum, ""},
		{"s3://trusted/a?endpoint=https://strict.example.org", sum, errcode.PolicyUnverified},
	} {
		if got := decided(p.Submission(contract.ImportRequest{Source: contract.SourceSpec{URL: c.url, Checksum: c.sum}})); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.url, c.sum, got, c.want)
		}
	}
}

// A mirror's bytes are the image's: what is demanded of its place holds although
// nothing is demanded of the source's own.
func TestMirrorsDoNotLowerDemands(t *testing.T) {
	p := parsed(t, "version: 1\ndefaults:\n  require:\n    - {host: trusted.example.org, need: none}\n    - {need: digest}\n")
	sum := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		mirror, sum string
		want        errcode.Code
	}{
		{"https://trusted.example.org/b", "", ""},
		{"https://evil.test/a", "", errcode.PolicyUnverified},
		{"https://evil.test/a", sum, ""},
	} {
		s := contract.SourceSpec{URL: "https://trusted.example.org/a", Checksum: c.sum, Mirrors: []string{"https://trusted.example.org/c", c.mirror}}
		r := contract.ImportRequest{Source: s}
		if got := decided(p.Submission(r)); got != c.want {
			t.Errorf("submission, %+v: %q, want %q", c, got, c.want)
		}
		if got := decided(p.Activation(contract.ActivateParams{Request: r, Fetched: contract.Fetched{URL: s.URL}})); got != c.want {
			t.Errorf("activation, %+v: %q, want %q", c, got, c.want)
		}
	}
}

// Other spellings of a denied host or path are denied too, and those of an allowed
// one do not lead out of it.
func TestSpellings(t *testing.T) {
	p := parsed(t, `version: 1
defaults:
  sources:
    - {action: deny, scheme: file, path: /srv/secret}
    - {action: deny, host: "[2001:db8::1]"}
    - {action: deny, host: 192.0.2.7}
    - {action: allow, host: h.example.org, path: /open}
    - {action: allow, host: "[2001:0db8::0002]"}
    - {action: allow, scheme: https, host: "[2001:db8::1]"}
    - {action: allow, scheme: https, host: 192.0.2.7}
    - {action: allow}
`)
	strict := parsed(t, "version: 1\ndefaults:\n  sources: [{action: allow, host: h.example.org, path: /open}]\n")
	for _, c := range []struct {
		p    *Policy
		url  string
		want errcode.Code
	}{
		{p, "https://[2001:db8:0:0::1]/a", errcode.PolicySource},
		{p, "https://[2001:DB8::0001]:443/a", errcode.PolicySource},
		{p, "https://[::ffff:192.0.2.7]/a", errcode.PolicySource},
		{p, "https://[2001:db8::2]/a", ""},
		{p, "/srv/secret/x", errcode.PolicySource},
		{p, "/srv/public/x://../../secret/x", errcode.PolicySource}, // a path to package sources, whatever it holds
		{strict, "https://h.example.org/open/a;v=1/b", ""},
		{strict, "https://h.example.org/open/..;/private/b", errcode.PolicySource},
		{strict, "https://h.example.org/open/%2e%2e;a=b/private/b", errcode.PolicySource},
		{strict, "https://h.example.org/open/%252e%252e/private/b", errcode.PolicySource},
		{strict, "https://h.example.org/open/..%252fprivate/b", errcode.PolicySource},
		{strict, "https://h.example.org/open/100%25/b", ""},
	} {
		if got := decided(c.p.Submission(contract.ImportRequest{Source: contract.SourceSpec{URL: c.url}})); got != c.want {
			t.Errorf("%s: %q, want %q", c.url, got, c.want)
		}
	}
}

func TestRedirectsToDeniedHosts(t *testing.T) {
	p := parsed(t, `version: 1
defaults:
  sources:
    - {action: allow, host: fine.bad.example.org}
    - {action: deny, host: "*.bad.example.org"}
    - {action: allow, host: good.example.org}
    - {action: deny}
`)
	const start = "https://good.example.org/a"
	for to, want := range map[string]errcode.Code{
		start:                             "",
		"https://mirror.test/a":           "", // the allowed host's own word
		"https://fine.bad.example.org/a":  "",
		"https://x.bad.example.org/a":     errcode.PolicySource,
		"http://X.BAD.example.org.:81/a":  errcode.PolicySource,
		"https://notbad.example.org/a":    "",
		"https://x.bad.example.org/%2e/a": errcode.PolicySource,
	} {
		member := contract.MemberSpec{URL: start, Name: "b"}
		for name, f := range map[string]contract.Fetched{
			"at the end":   {URL: start, Origin: &contract.Origin{URL: to, Redirects: []string{to}}},
			"on the way":   {URL: start, Origin: &contract.Origin{URL: start, Redirects: []string{to, start}}},
			"of a mirror":  {URL: start, Origin: &contract.Origin{URL: start, Others: []string{start, to}}},
			"of a member":  {URL: start, Members: []contract.FetchedMember{{Name: "b", Fetched: contract.Fetched{URL: start, Origin: &contract.Origin{URL: to}}}}},
			"beside it":    {URL: start, Origin: &contract.Origin{URL: start}, Beside: []string{start, to}},
			"of no origin": {URL: start},
		} {
			want := want
			if name == "of no origin" {
				want = ""
			}
			r := contract.ImportRequest{Source: contract.SourceSpec{URL: start, Members: []contract.MemberSpec{member}}}
			v := Validation{Request: r, Fetched: f, Detected: contract.Detected{Format: "raw", VirtualSize: 1}}
			if got := decided(p.Validation(v)); got != want {
				t.Errorf("validation, %s %s: %q, want %q", to, name, got, want)
			}
			if got := decided(p.Activation(contract.ActivateParams{Request: r, Fetched: f})); got != want {
				t.Errorf("activation, %s %s: %q, want %q", to, name, got, want)
			}
		}
	}
}

// Every URL that a request can hold is judged: a field that is added to a source must
// be added to places, or to those that are no URL.
func TestEveryURLOfARequestIsAPlace(t *testing.T) {
	noURL := map[string]bool{"Format": true, "Checksum": true, "Credential": true, "Keyring": true, "Name": true}
	var want []string
	var fill func(v reflect.Value, at string)
	fill = func(v reflect.Value, at string) {
		switch v.Kind() {
		case reflect.String:
			v.SetString("https://h.example.org/" + at)
			want = append(want, v.String())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), at)
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); !noURL[f.Name] {
					fill(v.Field(i), at+"."+f.Name)
				}
			}
		case reflect.Bool, reflect.Int, reflect.Int64:
		default:
			t.Fatalf("%s is of a kind that this test does not know", at)
		}
	}
	var s contract.SourceSpec
	fill(reflect.ValueOf(&s).Elem(), "Source")
	have := map[string]bool{}
	for _, p := range places(s) {
		have[p.url] = true
	}
	for _, url := range want {
		if !have[url] {
			t.Errorf("%s is not judged", url)
		}
	}
	if len(want) < 4 {
		t.Fatalf("only %v were tried", want)
	}
}
