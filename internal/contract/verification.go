package contract

import "time"

// Kinds of verification, see Verification.
const (
	// VerifiedDigest is a digest that stood in the request.
	VerifiedDigest = "digest"
	// VerifiedChecksumFile is an entry of a checksum file.
	VerifiedChecksumFile = "checksum_file"
	// VerifiedSignature is an OpenPGP signature over the file itself, or over the
	// checksum file that holds its digest.
	VerifiedSignature = "signature"
)

// A Verification is one proof that a source's bytes are what their publisher
// says. It is made by the fetch once all bytes have been seen; a proof that fails
// ends the import, so that every one that is listed has held. Nothing in it is
// secret: URLs have neither user nor query.
type Verification struct {
	Kind string `json:"kind"`           // VerifiedDigest and so on
	File string `json:"file,omitempty"` // the member's name, "" for the file at the source's URL
	// Algo and Digest are what the file's bytes came to: "sha256", "sha512" or
	// "md5", and hex in lower case. Of a signature over the file itself, Algo is the
	// signature's hash, and Digest is empty.
	Algo   string `json:"algo,omitempty"`
	Digest string `json:"digest,omitempty"`
	// URL is that of the checksum file: where the digest stood, or what was signed.
	// It is "" for a digest of the request and for a signature over the file itself.
	URL string `json:"url,omitempty"`
	// The others are those of a signature.
	SignatureURL string    `json:"signature_url,omitempty"` // "" if the checksum file holds its signature itself
	Keyring      string    `json:"keyring,omitempty"`       // name of the operator's keyring that holds the key
	Fingerprint  string    `json:"fingerprint,omitempty"`   // of the primary key, hex in upper case
	SigningKey   string    `json:"signing_key,omitempty"`   // fingerprint of the key that signed, if it is a subkey
	UserID       string    `json:"user_id,omitempty"`       // primary one of the key
	SignedAt     time.Time `json:"signed_at,omitzero"`      // as the signature says
	VerifiedAt   time.Time `json:"verified_at,omitzero"`    // by the clock of the host that fetched
}

// same reports whether two verifications prove the same, whenever that was.
func (v Verification) same(w Verification) bool {
	signed := v.SignedAt.Equal(w.SignedAt)
	v.SignedAt, v.VerifiedAt = time.Time{}, time.Time{}
	w.SignedAt, w.VerifiedAt = time.Time{}, time.Time{}
	return signed && v == w
}

// sameVerifications compares two lists.
func sameVerifications(v, w []Verification) bool {
	if len(v) != len(w) {
		return false
	}
	for i := range v {
		if !v[i].same(w[i]) {
			return false
		}
	}
	return true
}
