package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"ingest/metadata"
)

// keyHeader names a request, so that it can be repeated.
const keyHeader = "Idempotency-Key"

// idempotencyKey reads the request's key, "" if there is none.
func idempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get(keyHeader)
	return key, checkKey(keyHeader, key)
}

// checkKey checks an idempotency key. It becomes part of a workflow's id, in which '/'
// separates.
func checkKey(field, key string) error {
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return badField(field, key, "expected at most %d visible ASCII characters without '/'", maxKey)
	}
	return nil
}

// onceOf names a request by its key and by what it asks for. In what order the members
// of its body stand does not count.
func onceOf(r *http.Request, fields map[string]json.RawMessage) (metadata.Once, error) {
	key, err := idempotencyKey(r)
	if err != nil || key == "" {
		return metadata.Once{}, err
	}
	sum := sha256.New()
	_, _ = sum.Write([]byte(r.Method + " " + r.URL.Path + "\n"))
	// Members of maps are written in order, and raw values compact.
	if err := json.NewEncoder(sum).Encode(fields); err != nil {
		return metadata.Once{}, bodyError(err)
	}
	return metadata.Once{Owner: project(r.Context()), Key: key, Request: hex.EncodeToString(sum.Sum(nil))}, nil
}
