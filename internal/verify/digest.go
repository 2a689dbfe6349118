package verify

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"ingest/internal/errcode"
)

// The algorithms of digests that are taken.
const (
	SHA256 = "sha256"
	SHA512 = "sha512"
	MD5    = "md5" // where the operator admits it
)

// A Digest is what bytes must come to.
type Digest struct {
	Algo string // SHA256, SHA512, MD5
	Hex  string // in lower case
}

// String returns "algo:hex".
func (d Digest) String() string { return d.Algo + ":" + d.Hex }

// NewHash returns a hash of an algorithm, nil for one that is not taken.
func NewHash(algo string) hash.Hash {
	switch algo {
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	case MD5:
		return md5.New()
	}
	return nil
}

// digitsOf is how many hexadecimal digits a digest has, 0 if the algorithm is not
// known. All but three are known in order to be refused by name.
func digitsOf(algo string) int {
	switch algo {
	case MD5:
		return 32
	case "sha1":
		return 40
	case "sha224":
		return 56
	case SHA256:
		return 64
	case "sha384":
		return 96
	case SHA512:
		return 128
	}
	return 0
}

// algoOf is the algorithm of a digest that is told by its length alone, as
// coreutils' lists do; "" for none.
func algoOf(digits int) string {
	for _, algo := range []string{MD5, "sha1", "sha224", SHA256, "sha384", SHA512} {
		if digitsOf(algo) == digits {
			return algo
		}
	}
	return ""
}

// taken reports whether an algorithm proves anything.
func taken(algo string, md5 bool) bool {
	return algo == SHA256 || algo == SHA512 || algo == MD5 && md5
}

// ParseDigest reads "sha256:HEX", "sha512:HEX" or, if that is admitted, "md5:HEX".
// Others are errcode.ChecksumAlgorithm if they are digests, and else
// errcode.ChecksumInvalid.
func ParseDigest(s string, md5 bool) (Digest, error) {
	algo, digits, ok := strings.Cut(strings.ToLower(strings.TrimSpace(s)), ":")
	_, err := hex.DecodeString(digits)
	if n := digitsOf(algo); !ok || n == 0 || err != nil || len(digits) != n {
		return Digest{}, errcode.New(errcode.ChecksumInvalid, "the checksum is not %s", forms(md5)).
			With(errcode.Evidence{Structure: "request", Field: "checksum", Value: clip(s), Limit: forms(md5)})
	}
	if !taken(algo, md5) {
		return Digest{}, errcode.New(errcode.ChecksumAlgorithm, "a digest of %s proves nothing here", algo).
			With(errcode.Evidence{Structure: "request", Field: "checksum", Value: clip(s), Limit: forms(md5)})
	}
	return Digest{algo, digits}, nil
}

// forms says which digests are taken.
func forms(md5 bool) string {
	if md5 {
		return "sha256:HEX, sha512:HEX or md5:HEX"
	}
	return "sha256:HEX or sha512:HEX"
}

// clip shortens what is shown of a text.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
