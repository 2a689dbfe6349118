// Package verify judges what a publisher says of an image's bytes: digests,
// checksum files, and OpenPGP signatures (RFC 9580, and RFC 4880 before it). It is
// given bytes and returns verdicts; it opens no file and no connection.
//
//   - A Digest is an algorithm and a value, as in "sha256:HEX".
//   - Sums are the entries of a checksum file: the form of GNU coreutils, the BSD
//     one (`SHA256 (name) = hex`), and a mixture of both.
//   - A Cleartext is a text that holds its signatures itself (RFC 9580, section 7).
//   - A Keyring holds an operator's trusted keys, as `gpg --export` writes them.
//   - A Signature is checked against keyrings by Keyrings.Check. One good signature
//     is enough, whatever stands beside it.
//
// What comes from the publisher's server is hostile: sizes, lines and numbers of
// signatures are bounded by the limits below. Refusals are *errcode.Error.
package verify

// Limits of what is read.
const (
	// MaxSumsBytes is the largest checksum file: that of a whole distribution
	// mirror has a few hundred thousand bytes.
	MaxSumsBytes = 1 << 20
	// MaxLineBytes is the longest line of a checksum file: a path of 4096 bytes,
	// every one of them escaped, and a digest.
	MaxLineBytes = 2*4096 + 256
	// MaxSignatureBytes is the largest file of signatures: one of 16 with the
	// largest RSA keys has some 40 kB in armor.
	MaxSignatureBytes = 64 << 10
	// MaxSignatures is how many signatures are looked at: publishers who change
	// their key sign with two or three for a while.
	MaxSignatures = 16
	// MaxKeyringBytes is the largest keyring: all developers of Debian have 40 MB.
	MaxKeyringBytes = 64 << 20
)
