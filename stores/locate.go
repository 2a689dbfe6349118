package stores

import (
	"context"
	"net/url"
	"strings"
)

// A Locator is a Store whose objects others can name by a URL.
type Locator interface {
	// URL names where the bytes of a committed object lie, in the words of the store:
	// a file URL, s3://bucket/name. There is never a secret in it.
	URL(ctx context.Context, key string) (string, error)
	// KeyOf returns the key of the object that a URL names, ok false if the URL does not
	// lie in this store. Nothing is opened, and whether the object is there is not known.
	KeyOf(rawURL string) (key string, ok bool)
}

// externalPrefix begins the keys of external objects: what somebody else has put into
// the store, below a folder or prefix of this name. No store lists or removes them.
const externalPrefix = "external/"

// Bounds of the path of an external object. A key with its prefix fits the catalogue.
const (
	maxExternalBytes = 200
	maxExternalDepth = 8
)

// IsExternal reports whether a key is that of an object that was not stored by ingest.
// Such a one is read, and never written or removed.
func IsExternal(key string) bool {
	path, ok := strings.CutPrefix(key, externalPrefix)
	if !ok || len(path) > maxExternalBytes {
		return false
	}
	parts := strings.Split(path, "/")
	if len(parts) > maxExternalDepth {
		return false
	}
	for _, part := range parts {
		if !plainName(part) {
			return false
		}
	}
	return true
}

// plainName reports whether a part of a path is the same in a file's name, in a URL and
// in a bucket, and is no hidden file.
func plainName(s string) bool {
	if s == "" || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("._-+@=", rune(c)) {
			return false
		}
	}
	return true
}

// CheckObject refuses keys that no object can have, external ones included.
func CheckObject(key string) error {
	if IsExternal(key) {
		return nil
	}
	return CheckKey(key)
}

// PlainURL takes a URL apart that names an object: with a scheme and a path, and without
// what could mean more than a place, such as a user or a query.
func PlainURL(raw string) (u *url.URL, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return nil, false
	}
	return u, u.Scheme != "" && u.Path != ""
}

// SameURL reports whether two plain URLs name one place, however they are escaped.
func SameURL(a, b string) bool {
	x, ok := PlainURL(a)
	y, also := PlainURL(b)
	return ok && also && x.Scheme == y.Scheme && x.Host == y.Host && x.Path == y.Path
}
