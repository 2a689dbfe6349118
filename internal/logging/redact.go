package logging

import (
	"regexp"
	"strings"
)

// maxURL bounds what a URL may take in a log line, bytes.
const maxURL = 1024

// hidden stands where a part that may be secret was cut out of an authority.
const hidden = "REDACTED"

// URL returns s without user info, query and fragment, for logs and for error
// texts. It works on the text and not on a parsed URL, because a malformed
// address holds the same secrets as a good one; where it is unclear what is
// secret, more is cut. Text that is no URL loses what follows a '?' or '#'.
func URL(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	scheme, rest, found := strings.Cut(s, "//")
	if !found {
		scheme, rest = "", s
	} else {
		scheme += "//"
	}
	end := strings.IndexAny(rest, `/\`)
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if i := strings.LastIndexByte(authority, '@'); i >= 0 && (found || strings.ContainsRune(authority[:i], ':')) {
		authority = authority[i+1:]
	}
	if found && !plainPort(authority) {
		// A password with a slash or a question mark in it: what looks like
		// host, port and path is user info.
		authority, path = hidden, path[max(strings.LastIndexByte(path, '@'), 0):]
	}
	out := scheme + authority + path
	if len(out) > maxURL {
		out = strings.ToValidUTF8(out[:maxURL], "") + "..."
	}
	return out
}

// Text returns s with every URL in it passed through URL.
func Text(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	// Compiled here because the house keeps no package-level state; lines with
	// a URL in them are rare.
	return regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>`+"`"+`]+`).ReplaceAllStringFunc(s, redactWord)
}

// redactWord redacts one URL within a sentence and leaves the punctuation that
// follows it, such as the colon of `Get https://host/x?sig=1: refused`.
func redactWord(word string) string {
	trimmed := strings.TrimRight(word, ".,;:!)]}")
	return URL(trimmed) + word[len(trimmed):]
}

// plainPort reports whether the authority has no port or a numeric one.
func plainPort(authority string) bool {
	if strings.HasPrefix(authority, "[") { // IPv6 literal
		_, after, ok := strings.Cut(authority, "]")
		return ok && (after == "" || digits(strings.TrimPrefix(after, ":")))
	}
	_, port, ok := strings.Cut(authority, ":")
	return !ok || digits(port)
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
