package logging

import (
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "https://example.org/a/b.qcow2", "https://example.org/a/b.qcow2"},
		{"query", "https://bucket.s3.example.org/k?X-Amz-Signature=s3cret&a=b", "https://bucket.s3.example.org/k"},
		{"fragment", "https://example.org/k#token=s3cret", "https://example.org/k"},
		{"user and password", "https://bob:s3cret@example.org:8443/k", "https://example.org:8443/k"},
		{"user only", "https://s3cret@example.org/k", "https://example.org/k"},
		{"password with at", "https://bob:s3cret@s3cret@example.org/k", "https://example.org/k"},
		{"password with slash", "https://bob:s3/cret@example.org/k", "https://REDACTED@example.org/k"},
		{"password with slash and backslash", `https://bob:s3\cret@example.org/k`, "https://REDACTED@example.org/k"},
		{"password with question mark", "https://bob:s3cret?x@example.org/k", "https://REDACTED"},
		{"at in path", "https://example.org/image@sha256:00", "https://example.org/image@sha256:00"},
		{"at in path with port", "https://example.org:80/image@sha256:00", "https://example.org:80/image@sha256:00"},
		{"IPv6", "https://bob:s3cret@[::1]:80/k?x", "https://[::1]:80/k"},
		{"IPv6 and at in path", "https://[::1]:80/k@v", "https://[::1]:80/k@v"},
		{"malformed", "https://bob:s3cret@exa mple.org/%zz?sig=s3cret", "https://exa mple.org/%zz"},
		{"no scheme", "//bob:s3cret@example.org/k?x", "//example.org/k"},
		{"no slashes", "bob:s3cret@example.org/k?x", "example.org/k"},
		{"file path", "/srv/images/a@b.raw", "/srv/images/a@b.raw"},
		{"relative path", "images/disk.raw", "images/disk.raw"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := URL(tt.in); got != tt.want {
				t.Errorf("URL(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestURLIsBounded(t *testing.T) {
	in := "https://example.org/" + strings.Repeat("é", 5000)
	if got := URL(in); len(got) > maxURL+3 || !strings.HasSuffix(got, "...") {
		t.Errorf("URL of %d bytes has %d bytes, want at most %d and an ellipsis", len(in), len(got), maxURL+3)
	}
}

func TestText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"no URL", "disk full: what?", "disk full: what?"},
		{"net/http error", `Get "https://u:p@h.example/k?sig=s3cret": dial tcp: refused`, `Get "https://h.example/k": dial tcp: refused`},
		{"colon after it", "read s3://b/k?versionId=1: no such key", "read s3://b/k: no such key"},
		{"two", "from http://a/x?s=1, to http://b/y?s=2.", "from http://a/x, to http://b/y."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Text(tt.in); got != tt.want {
				t.Errorf("Text(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://bob:pw@h/k?x#y", "a:b@c/d", "//[::1]:x/@", `\\h\s?`, "://@:/@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := URL(s)
		if strings.ContainsAny(got, "?#") {
			t.Errorf("URL(%q) = %q keeps a query or fragment", s, got)
		}
		// Whatever the password is, user info before a well-formed host is gone.
		if user := strings.Map(noDelimiter, s); user != "" {
			if got := URL("https://" + "u:" + user + "@h.example/k"); got != "https://h.example/k" {
				t.Errorf("URL with password %q = %q", user, got)
			}
		}
	})
}

func noDelimiter(r rune) rune {
	if strings.ContainsRune(`/\?#`, r) {
		return -1
	}
	return r
}
