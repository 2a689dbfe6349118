package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
)

func TestAuthListensElsewhereOnlyIfItAsks(t *testing.T) {
	t.Setenv(envKeystonePassword, "secret")
	for _, c := range []struct {
		name string
		args []string
		good bool
	}{
		{"nobody is asked", []string{"--listen", "0.0.0.0:9292"}, false},
		{"nobody is asked, by word", []string{"--listen", "0.0.0.0:9292", "--auth", "none"}, false},
		{"nobody is asked, over TLS", []string{"--listen", "0.0.0.0:9292", "--tls-cert", "c", "--tls-key", "k"}, false},
		{"tokens", []string{"--listen", "0.0.0.0:9292", "--auth", "token"}, true},
		{"Keystone", []string{"--listen", ":9292", "--auth", "keystone", "--keystone-url", "https://keystone.example.org/v3"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(t, c.args...)
			if (err == nil) != c.good {
				t.Fatalf("got %v", err)
			}
			if err != nil && (errcode.Of(err) != errcode.BadRequest || !strings.Contains(err.Error(), "--auth token")) {
				t.Errorf("got %v", err)
			}
			if err == nil && got.Auth.Tokens != filepath.Join(got.DataDir, "tokens.json") {
				t.Errorf("tokens in %s", got.Auth.Tokens)
			}
		})
	}
}

func TestAuthRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keystone := []string{"--auth", "keystone", "--keystone-url", "http://k/v3"}
	for name, args := range map[string][]string{
		"unknown mode":           {"--auth", "basic"},
		"users without tokens":   {"--identity-users", "users.yaml"},
		"users with Keystone":    append(keystone, "--identity-users", "users.yaml"),
		"Keystone without URL":   {"--auth", "keystone"},
		"Keystone's URL is none": {"--auth", "keystone", "--keystone-url", "k:5000"},
		"a secret in the URL":    {"--auth", "keystone", "--keystone-url", "http://u:p@k/v3"},
		"no password":            keystone,
		"no file of it":          append(keystone, "--keystone-password-file", "/nonexistent"),
		"an empty file of it":    append(keystone, "--keystone-password-file", empty),
		"negative cache":         append(keystone, "--keystone-cache", "-1s"),
		"long cache":             append(keystone, "--keystone-cache", "61m"),
		"a certificate alone":    {"--tls-cert", "c"},
		"a key alone":            {"--tls-key", "k"},
		"endpoint with a query":  {"--public-endpoint", "https://h/?q"},
		"endpoint without host":  {"--public-endpoint", "https:///v2"},
		"negative rate":          {"--rate-limit", "-1"},
		"rate is no number":      {"--rate-limit", "NaN"},
		"rate too large":         {"--rate-limit", "1000001"},
		"negative burst":         {"--rate-burst", "-1"},
		"negative of addresses":  {"--address-rate-limit", "-0.5"},
		"no number of addresses": {"--address-rate-limit", "NaN"},
		"burst of addresses":     {"--address-rate-burst", "-1"},
		"negative failures":      {"--auth-failures", "-1"},
		"a proxy by name":        {"--trusted-proxy", "10.0.0.1,proxy.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, args...); errcode.Of(err) != errcode.BadRequest {
				t.Errorf("got %v, want %s", err, errcode.BadRequest)
			}
		})
	}
}

func TestThePasswordOfAFileComesFirst(t *testing.T) {
	t.Setenv(envKeystonePassword, "of the environment")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(t, "--auth", "keystone", "--keystone-url", "http://k:5000", "--keystone-password-file", file, "--keystone-cache", "0s")
	if err != nil || c.Auth.Keystone.Password != "of the file" || c.Auth.Keystone.CacheTime != 0*time.Second {
		t.Errorf("got %+v, %v", c, err)
	}
	if strings.Contains(c.String(), "of the") {
		t.Errorf("%s", c)
	}
}
