package http

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ingest/internal/errcode"
)

// checkURL parses a URL and refuses every spelling that two programs could
// understand differently, or that hides where it leads. It does not decide
// whether the host may be reached: see guard.
func checkURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, invalid("it is longer than %d bytes", maxURL)
	}
	if !legible(raw) {
		return nil, invalid("it holds a space, a backslash, or a character that does not show")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, invalid("it cannot be parsed") // err quotes the URL, which may hold a secret
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errcode.New(errcode.SourceScheme, "the source's URL is neither http nor https")
	case u.Opaque != "" || u.Host == "":
		return nil, invalid("it names no host")
	case u.User != nil:
		return nil, invalid("it holds user info")
	case strings.Contains(raw, "#"):
		return nil, invalid("it holds a fragment")
	}
	if err := checkHost(u.Host, u.Hostname()); err != nil {
		return nil, err
	}
	return u, checkPort(u)
}

// legible reports whether text shows what it holds, and every program reads the
// same from it: no spaces, no control, format or separator characters, no
// malformed UTF-8, no backslash, which browsers read as a slash.
func legible(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == '\\' || r == ' ' || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return invalid("its port is empty")
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return invalid("its port is not a number from 1 to 65535")
	}
	return nil
}

// checkHost accepts host names of letters, digits, hyphens and underscores,
// and addresses in their plain spelling.
func checkHost(hostport, host string) error {
	if strings.HasPrefix(hostport, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return invalid("its host is not an IPv6 address without zone")
		}
		return nil
	}
	if len(host) > 253 {
		return invalid("its host name is longer than 253 characters")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return invalid("its host name has an empty or too long part")
		}
		for _, c := range []byte(label) {
			if !isAlnum(c) && c != '-' && c != '_' {
				return invalid("its host name holds more than letters, digits and hyphens; write an international name in its xn-- form")
			}
		}
	}
	// What ends in a number is an address to the C library, and to browsers
	// (WHATWG URL, "ends in a number"): 2130706433, 0x7f.1, 127.1, 0177.0.0.1.
	if isNumber(labels[len(labels)-1]) {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is4() {
			return invalid("its host is an address in an unusual spelling")
		}
	}
	return nil
}

func isNumber(label string) bool {
	l := strings.ToLower(label)
	if strings.HasPrefix(l, "0x") {
		return true
	}
	return strings.Trim(l, "0123456789") == ""
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func invalid(format string, args ...any) error {
	return errcode.New(errcode.SourceURLInvalid, "the source's URL is refused: "+format, args...)
}
