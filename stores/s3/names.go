package s3

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/stores"
)

const (
	stampName   = "store.json"
	objectsName = "objects/"
	dataName    = "data/"
	uploadsName = "uploads/"
	partsName   = "parts/"
	suffix      = ".json"
	randomLen   = 16 // hex digits
)

// isUUID reports whether s is a UUID in its one canonical spelling.
func isUUID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}

func isHex(s string) bool {
	return len(s) == randomLen && strings.Trim(s, "0123456789abcdef") == ""
}

// checkKey refuses what NewKey did not make.
func checkKey(key string) error {
	image, upload, ok := strings.Cut(key, "/")
	if !ok || !isUUID(image) || !isUUID(upload) {
		return errcode.New(errcode.BadRequest, "a key is two UUIDs joined by a slash")
	}
	return nil
}

// newID returns the id of a new upload for a key.
func newID(key string) string {
	var b [randomLen / 2]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return strings.Replace(key, "/", ".", 1) + "." + hex.EncodeToString(b[:])
}

// keyOfID returns the key that an upload was begun for.
func keyOfID(id string) (key string, ok bool) {
	p := strings.Split(id, ".")
	if len(p) != 3 || !isUUID(p[0]) || !isUUID(p[1]) || !isHex(p[2]) {
		return "", false
	}
	return stores.NewKey(p[0], p[1]), true
}

func (s *Store) claimPath(key string) string   { return s.o.Prefix + objectsName + key + suffix }
func (s *Store) manifestPath(id string) string { return s.o.Prefix + uploadsName + id + suffix }
func (s *Store) dataPath(id string) string {
	return s.o.Prefix + dataName + strings.ReplaceAll(id, ".", "/")
}
func (s *Store) partPath(id string, n int) string {
	return s.o.Prefix + partsName + id + "/" + strconv.Itoa(n)
}

// idOf returns the id in a listed name below prefix, "" if it is none.
func idOf(name, prefix, end string) string {
	id, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return ""
	}
	if id, ok = strings.CutSuffix(id, end); !ok {
		return ""
	}
	if _, ok := keyOfID(id); !ok {
		return ""
	}
	return id
}
