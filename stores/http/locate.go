package http

import (
	"context"
	"strings"

	"ingest/stores"
)

var _ stores.Locator = (*Store)(nil)

// URL returns the URL of an object. The server is not asked for it.
func (s *Store) URL(_ context.Context, key string) (string, error) {
	return s.base + "/" + key, stores.CheckObject(key)
}

// KeyOf returns the key of the object that a URL below the base names.
func (s *Store) KeyOf(raw string) (string, bool) {
	u, ok := stores.PlainURL(raw)
	base, also := stores.PlainURL(s.base + "/")
	if !ok || !also || u.Scheme != base.Scheme || u.Host != base.Host {
		return "", false
	}
	key, ok := strings.CutPrefix(u.Path, base.Path)
	return key, ok && stores.CheckObject(key) == nil
}
