package stores

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"ingest/internal/errcode"
)

// A key is two UUIDs joined by a slash. The id of an upload is its key with a dot
// in the slash's place, a dot and RandomLen hex digits, so that it is one name in
// a folder or below a prefix.

// RandomLen is the length of what NewRandom returns, hex digits.
const RandomLen = 16

// NewRandom returns a name that nobody else has.
func NewRandom() string {
	var b [RandomLen / 2]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return hex.EncodeToString(b[:])
}

// IsUUID reports whether s is a UUID in its one canonical spelling, which holds
// nothing that a path could be made of.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	n := 0
	for part := range strings.SplitSeq(s, "-") {
		if n > 4 || len(part) != [...]int{8, 4, 4, 4, 12}[n] || !isLowerHex(part) {
			return false
		}
		n++
	}
	return n == 5
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// SplitKey takes a key apart, ok false if NewKey did not make it.
func SplitKey(key string) (image, upload string, ok bool) {
	image, upload, ok = strings.Cut(key, "/")
	return image, upload, ok && IsUUID(image) && IsUUID(upload)
}

// CheckKey refuses what NewKey did not make.
func CheckKey(key string) error {
	if _, _, ok := SplitKey(key); !ok {
		return errcode.New(errcode.BadRequest, "a key is two UUIDs joined by a slash")
	}
	return nil
}

// NewID returns the id of another upload for key. Two uploads never have one id,
// even if they have one key.
func NewID(key string) string { return IDPrefix(key) + NewRandom() }

// IDPrefix is what the ids of all uploads for key begin with.
func IDPrefix(key string) string { return strings.Replace(key, "/", ".", 1) + "." }

// KeyOfID returns the key that an id was made for, ok false if it is no id.
func KeyOfID(id string) (key string, ok bool) {
	p := strings.Split(id, ".")
	if len(p) != 3 || !IsUUID(p[0]) || !IsUUID(p[1]) || len(p[2]) != RandomLen || !isLowerHex(p[2]) {
		return "", false
	}
	return NewKey(p[0], p[1]), true
}

// Fenced is the error of a handle that was overtaken.
func Fenced(id string) error {
	return errcode.New(errcode.UploadFenced, "another attempt has taken upload %s over", id)
}

// Unknown is the error for an id without an upload.
func Unknown(id string) error {
	return errcode.New(errcode.UploadUnknown, "there is no upload %q", id)
}

// MayCommit refuses the commit of an upload that is not sealed, or is sealed at
// another size than its digest was taken of.
func MayCommit(id string, size int64, sealed bool, want Digest) error {
	switch {
	case !sealed:
		return errcode.New(errcode.Conflict, "upload %s is not sealed", id)
	case want.Size != size:
		return errcode.New(errcode.VerifyMismatch, "upload %s is sealed at %d bytes, but the digest is of %d", id, size, want.Size)
	}
	return nil
}
