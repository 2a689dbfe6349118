package fs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ingest/internal/errcode"
)

const randomLen = 16 // hex digits

func newRandom() string {
	var b [randomLen / 2]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return hex.EncodeToString(b[:])
}

func isRandom(s string) bool { return len(s) == randomLen && isLowerHex(s) }

// isUUID reports whether s is a UUID in its one canonical spelling, which holds
// nothing that a path could be made of.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, part := range strings.Split(s, "-") {
		if i > 4 || len(part) != [...]int{8, 4, 4, 4, 12}[i] || !isLowerHex(part) {
			return false
		}
	}
	return true
}

func isLowerHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func splitKey(key string) (image, upload string, ok bool) {
	image, upload, ok = strings.Cut(key, "/")
	return image, upload, ok && isUUID(image) && isUUID(upload)
}

// newID returns the id of another upload for key. Two uploads never have one
// id, even if they have one key.
func newID(key string) string { return strings.Replace(key, "/", ".", 1) + "." + newRandom() }

// keyOfID returns the key that an id was made for, ok false if it is no id.
func keyOfID(id string) (key string, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 || !isUUID(parts[0]) || !isUUID(parts[1]) || !isRandom(parts[2]) {
		return "", false
	}
	return parts[0] + "/" + parts[1], true
}

// storeError gives an error of the operating system its code. The message names
// no path: it is shown to the owner of the task.
func storeError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, ok := errcode.As(err); ok {
		return err
	}
	doing := fmt.Sprintf(format, args...)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return errcode.Wrap(err, errcode.NoSpace, "%s: no space is left", doing)
	}
	return errcode.Wrap(err, errcode.StoreUnavailable, "%s: the file system refuses", doing)
}

func fencedError(id string) error {
	return errcode.New(errcode.UploadFenced, "another attempt has taken upload %s over", id)
}

func unknownError(id string) error {
	return errcode.New(errcode.UploadUnknown, "there is no upload %q", id)
}
