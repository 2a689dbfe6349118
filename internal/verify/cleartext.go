package verify

import (
	"bytes"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"ingest/internal/errcode"
)

// begin is the first line of a text that holds its signatures itself.
const begin = "-----BEGIN PGP SIGNED MESSAGE-----"

// A Cleartext is a text that holds its signatures itself (RFC 9580, section 7).
type Cleartext struct {
	Text []byte // what is signed and nothing else, with ends of lines as LF
	// Signatures are not checked yet; their hash is taken over Signed.
	Signatures []*Signature
	Signed     []byte // Text as it is hashed: without blanks at the ends of lines, which are CRLF
}

// ParseCleartext reads a clearsigned text. It returns nil for one that is not, and
// errcode.SignatureInvalid for one that is damaged, or has anything outside of what
// is signed: a reader might take that for signed too.
func ParseCleartext(p []byte) (*Cleartext, error) {
	if !bytes.Contains(p, []byte(begin)) {
		return nil, nil
	}
	p = bytes.TrimSpace(p)
	if !bytes.HasPrefix(p, []byte(begin)) {
		return nil, cleartextError("there is text before it that is not signed")
	}
	block, rest := clearsign.Decode(p)
	switch {
	case block == nil:
		return nil, cleartextError("it is damaged, or ends too early")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, cleartextError("there is text behind it that is not signed")
	}
	raw, err := io.ReadAll(io.LimitReader(block.ArmoredSignature.Body, MaxSignatureBytes+1))
	if err != nil {
		return nil, cleartextError("its signature is damaged")
	}
	sigs, err := packets(raw)
	if err != nil {
		return nil, err
	}
	return &Cleartext{Text: block.Plaintext, Signed: block.Bytes, Signatures: sigs}, nil
}

func cleartextError(what string) *errcode.Error {
	return errcode.New(errcode.SignatureInvalid, "the clearsigned text cannot be used: %s", what).
		With(errcode.Evidence{Structure: "clearsigned text"})
}
