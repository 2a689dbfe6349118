package credentials

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
)

const secret = "canary-8f1b6d"

const good = `
mirror:
  type: basic
  hosts: [images.example.com, "*.example.org", "other.example.com:8443"]
  projects: [p1]
  username: ingest
  password: ` + secret + `
lab:
  type: s3
  endpoint: http://127.0.0.1:9000
  buckets: [images]
  access_key: key
  secret_key: ` + secret + `
aws:
  type: s3
  profile: images
signed:
  type: url
  url: https://bucket.example.com/a.img?X-Amz-Signature=` + secret + `
`

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	write(t, path, good, 0o600)
	v, err := Open(path, []string{"INGEST_CREDENTIAL_LAB_TOO_TYPE=bearer", "INGEST_CREDENTIAL_LAB_TOO_TOKEN=" + secret, "INGEST_CREDENTIAL_LAB_TOO_HOSTS=a.example,b.example", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Get("mirror", Use{Types: []string{Basic}, Project: "p1"})
	if err != nil || c.Field("password") != secret {
		t.Fatalf("Get = %v, %v", c, err)
	}
	for _, tt := range []struct {
		name string
		use  Use
		want errcode.Code
	}{
		{"nobody", Use{}, errcode.CredentialUnknown},
		{"mirror", Use{Types: []string{S3}, Project: "p1"}, errcode.CredentialType},
		{"mirror", Use{Project: "p2"}, errcode.CredentialNotAllowed},
		{"mirror", Use{}, errcode.CredentialNotAllowed},
		{"lab", Use{Bucket: "images"}, ""},
		{"lab", Use{Bucket: "other"}, errcode.CredentialNotAllowed},
		{"lab", Use{To: to(t, "http://127.0.0.1:9000/x")}, ""},
		{"lab", Use{To: to(t, "http://127.0.0.1:9001/x")}, errcode.CredentialNotAllowed},
		{"lab-too", Use{To: to(t, "https://b.example/x")}, ""},
		{"lab-too", Use{To: to(t, "https://c.example/x")}, errcode.CredentialNotAllowed},
		{"aws", Use{To: to(t, "https://images.s3.eu-west-1.amazonaws.com/")}, ""},
	} {
		if _, err := v.Get(tt.name, tt.use); errcode.Of(err) != tt.want {
			t.Errorf("Get(%s, %+v): %v, want %q", tt.name, tt.use, err, tt.want)
		}
	}
	list, err := v.List()
	b, _ := json.Marshal(list)
	all := fmt.Sprintf("%s %v %+v %#v %s", b, c, c, c, must(json.Marshal(c)))
	if err != nil || len(list) != 5 || strings.Contains(all, secret) {
		t.Errorf("List = %s, %v", b, err)
	}
}

func must(b []byte, _ error) []byte { return b }

func to(t *testing.T, s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestHosts(t *testing.T) {
	c := &Credential{Hosts: []string{"images.example.com", "*.example.org", "other.example.com:8443", "plain.example.com:80", "[2001:db8::1]:9000"}}
	for raw, want := range map[string]bool{
		"https://images.example.com/a": true, "https://IMAGES.example.com:443/a": true, "https://images.example.com:8443/a": false,
		"http://images.example.com/a": false, "https://a.example.org/": true, "https://a.b.example.org/": true, "https://example.org/": false,
		"https://evilexample.org/": false, "https://other.example.com/": false, "https://other.example.com:8443/": true,
		"https://images.example.com.evil.com/": false, "http://plain.example.com/": false, "ftp://images.example.com/": false,
		"https://[2001:db8::1]:9000/": true, "https://[2001:db8::1]/": false,
	} {
		if got := c.MayGoTo(to(t, raw)); got != want {
			t.Errorf("MayGoTo(%s) = %v", raw, got)
		}
	}
	c.AllowHTTP = true
	if !c.MayGoTo(to(t, "http://plain.example.com/")) || c.MayGoTo(to(t, "https://plain.example.com/")) {
		t.Error("allow_http does not hold")
	}
}

// Names below Amazon's domain are anybody's; a key without hosts is for S3.
func TestHostsOfAmazon(t *testing.T) {
	v, err := Open("", []string{"INGEST_CREDENTIAL_AWS_TYPE=s3", "INGEST_CREDENTIAL_AWS_PROFILE=images"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"s3.amazonaws.com": true, "s3.eu-west-1.amazonaws.com": true, "a.b.s3.eu-west-1.amazonaws.com": true, "b.s3-us-west-2.amazonaws.com": true,
		"b.S3.dualstack.us-east-1.AMAZONAWS.com": true, "b.s3-fips.us-gov-west-1.amazonaws.com": true, "b.s3-accelerate.amazonaws.com": true,
		"b.s3-accelerate.dualstack.amazonaws.com": true, "b.s3-fips.dualstack.us-east-1.amazonaws.com": true,
		"abc.execute-api.us-east-1.amazonaws.com": false, "ec2-192-0-2-1.compute-1.amazonaws.com": false,
		"s3-12345.us-east-1.elb.amazonaws.com": false, "s3.elb.us-east-1.amazonaws.com": false, "amazonaws.com": false, "dualstack.amazonaws.com": false,
		"s3.amazonaws.com.evil.test": false, "evils3.amazonaws.com": false, "s3.eu-west-1.evil.amazonaws.com": false,
	} {
		if _, err := v.Get("aws", Use{To: to(t, "https://"+host+"/")}); (err == nil) != want {
			t.Errorf("%s: %v, want it to be allowed: %v", host, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want errcode.Code
	}{
		"readable by the group": {good, 0o640, errcode.CredentialMode},
		"readable by others":    {good, 0o604, errcode.CredentialMode},
		"not YAML":              {"a: [" + secret, 0o600, errcode.CredentialInvalid},
		"a list":                {"- " + secret, 0o600, errcode.CredentialInvalid},
		"wrong kind":            {"a: {type: bearer, hosts: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"no type":               {"a: {hosts: [h], token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"unknown type":          {"a: {type: magic, hosts: [h], token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"no host":               {"a: {type: bearer, token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"every host":            {"a: {type: bearer, hosts: ['*'], token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"host with path":        {"a: {type: bearer, hosts: ['h/x'], token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"missing field":         {"a: {type: basic, hosts: [h], password: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"foreign field":         {"a: {type: bearer, hosts: [h], token: x, password: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"number":                {"a: {type: bearer, hosts: [h], token: 12345}", 0o600, errcode.CredentialInvalid},
		"half a key":            {"a: {type: s3, hosts: [h], secret_key: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"no key":                {"a: {type: s3, hosts: [h]}", 0o600, errcode.CredentialInvalid},
		"role of nobody":        {"a: {type: s3, role: r}", 0o600, errcode.CredentialInvalid},
		"two ways":              {"a: {type: s3, access_key: k, secret_key: " + secret + ", profile: p}", 0o600, errcode.CredentialInvalid},
		"anonymous role":        {"a: {type: s3, role: r, anonymous: \"yes\"}", 0o600, errcode.CredentialInvalid},
		"identity, no role":     {"a: {type: s3, web_identity_file: /f}", 0o600, errcode.CredentialInvalid},
		"lone session":          {"a: {type: s3, profile: p, session_token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"STS without TLS":       {"a: {type: s3, role: r, web_identity_file: /f, sts_endpoint: \"http://sts.example.com\"}", 0o600, errcode.CredentialInvalid},
		"STS with a user":       {"a: {type: s3, role: r, web_identity_file: /f, sts_endpoint: \"https://u:" + secret + "@sts.example.com\"}", 0o600, errcode.CredentialInvalid},
		"header of two lines":   {"a: {type: header, hosts: [h], header: X, value: \"a\\r\\n" + secret + "\"}", 0o600, errcode.CredentialInvalid},
		"name with a slash":     {"a/b: {type: bearer, hosts: [h], token: " + secret + "}", 0o600, errcode.CredentialInvalid},
		"too large":             {"#" + strings.Repeat(" ", maxFile), 0o600, errcode.CredentialInvalid},
	} {
		path := filepath.Join(t.TempDir(), "credentials")
		write(t, path, tt.text, tt.mode)
		_, err := Open(path, nil)
		if errcode.Of(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%+v %v", err, chain(err)), secret) {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
	if _, err := Open("/nonexistent/credentials", nil); errcode.Of(err) != errcode.CredentialInvalid {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open("", []string{"INGEST_CREDENTIAL_A=" + secret}); errcode.Of(err) != errcode.CredentialInvalid || strings.Contains(err.Error(), secret) {
		t.Errorf("variable without a field: %v", err)
	}
}

// chain is everything that an error wraps.
func chain(err error) string {
	var b strings.Builder
	for err != nil {
		b.WriteString(err.Error())
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			break
		}
		err = u.Unwrap()
	}
	return b.String()
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	write(t, path, "a: {type: bearer, hosts: [h], token: one}", 0o600)
	v, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func() string {
		c, err := v.Get("a", Use{})
		if err != nil {
			return string(errcode.Of(err))
		}
		return c.Field("token")
	}
	if got := get(); got != "one" {
		t.Fatalf("token = %s", got)
	}
	write(t, path, "a: {type: bearer, hosts: [h], token: three}", 0o600)
	if got := get(); got != "three" {
		t.Errorf("token behind a change = %s", got)
	}
	write(t, path, "a: {type: bearer, hosts: [h], token: seven}", 0o600)
	if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "seven" {
		t.Errorf("token behind a change of equal length = %s", got)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != string(errcode.CredentialMode) {
		t.Errorf("behind a chmod: %s", got)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "seven" {
		t.Errorf("behind the mending: %s", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != string(errcode.CredentialInvalid) {
		t.Errorf("without the file: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: {type: bearer, hosts: [h], token: x}"))
	f.Add([]byte("a: &a {type: url, hosts: *a}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parse(b)
		for name, c := range list {
			if err != nil || c.Name != name || len(c.Hosts) == 0 {
				t.Fatalf("%q: %+v, %v", name, c.Listed(), err)
			}
		}
	})
}
