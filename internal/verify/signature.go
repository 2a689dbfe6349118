package verify

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"ingest/internal/errcode"
)

// A Signature is one that has been read and not been checked.
type Signature struct {
	sig *packet.Signature
	// refused is why it cannot be checked, nil if it can.
	refused *errcode.Error
}

// ParseSignatures reads the detached signatures in a file, with armor or without.
// Those that cannot be checked are kept, so that Check can say why. A file that
// holds anything else is errcode.SignatureInvalid.
func ParseSignatures(p []byte) ([]*Signature, error) {
	if len(p) > MaxSignatureBytes {
		return nil, fileError(fmt.Sprintf("it has more than %d bytes", MaxSignatureBytes))
	}
	if len(p) > 0 && p[0]&0x80 != 0 { // a packet's tag (RFC 9580, section 4.2)
		return packets(p)
	}
	const end = "-----END PGP SIGNATURE-----"
	var out []*Signature
	for len(bytes.TrimSpace(p)) > 0 {
		i := bytes.Index(p, []byte(end))
		if i < 0 {
			return nil, fileError("it is no OpenPGP signature, in armor or in binary form")
		}
		part := bytes.TrimSpace(p[:i+len(end)])
		p = p[i+len(end):]
		block, err := armor.Decode(bytes.NewReader(part))
		if err != nil || block.Type != openpgp.SignatureType {
			return nil, fileError("its armor is damaged")
		}
		raw, err := io.ReadAll(io.LimitReader(block.Body, MaxSignatureBytes+1))
		if err != nil {
			return nil, fileError("its armor is damaged")
		}
		sigs, err := packets(raw)
		if err != nil {
			return nil, err
		}
		if out = append(out, sigs...); len(out) > MaxSignatures {
			return nil, tooMany()
		}
	}
	if len(out) == 0 {
		return nil, fileError("it is empty")
	}
	return out, nil
}

func fileError(what string) *errcode.Error {
	return errcode.New(errcode.SignatureInvalid, "the signature cannot be read: %s", what).
		With(errcode.Evidence{Structure: "signature"})
}

func tooMany() *errcode.Error {
	return fileError(fmt.Sprintf("it holds more than %d signatures", MaxSignatures))
}

// packets reads signature packets (RFC 9580, section 5.2).
func packets(p []byte) ([]*Signature, error) {
	if len(p) > MaxSignatureBytes {
		return nil, fileError(fmt.Sprintf("it has more than %d bytes", MaxSignatureBytes))
	}
	var out []*Signature
	r := packet.NewReader(bytes.NewReader(p))
	for {
		next, err := r.NextWithUnsupported()
		switch {
		case errors.Is(err, io.EOF) && len(out) > 0:
			return out, nil
		case err != nil:
			return nil, fileError("its packets are damaged")
		case len(out) == MaxSignatures:
			return nil, tooMany()
		}
		s, err := signatureOf(next)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
}

// signatureOf takes a packet for a signature.
func signatureOf(p packet.Packet) (*Signature, error) {
	if sig, ok := p.(*packet.Signature); ok {
		return &Signature{sig: sig, refused: unusable(sig)}, nil
	}
	u, ok := p.(*packet.UnsupportedPacket)
	if !ok {
		return nil, fileError("it holds a packet that is no signature")
	}
	if _, ok := u.IncompletePacket.(*packet.Signature); !ok {
		return nil, fileError("it holds a packet that is no signature")
	}
	// The library does not know the hash functions that were broken first.
	if what := u.Error.Error(); strings.Contains(what, "hash function") {
		return &Signature{refused: weak("hash", "MD5, RIPEMD-160 or one that is not known", "SHA-256 or stronger")}, nil
	}
	return &Signature{refused: invalid(nil, "its algorithm or its version is not known")}, nil
}

// unusable says why a signature is not even tried.
func unusable(sig *packet.Signature) *errcode.Error {
	switch sig.Hash {
	case crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return weak("hash", sig.Hash.String(), "SHA-256 or stronger")
	}
	switch {
	case sig.SigType != packet.SigTypeBinary && sig.SigType != packet.SigTypeText:
		return invalid(sig, fmt.Sprintf("it is of type 0x%02x, which is not over a file", sig.SigType))
	case len(sig.IssuerFingerprint) == 0 && sig.IssuerKeyId == nil:
		return invalid(sig, "it names no key")
	case sig.Version != 4 && sig.Version != 6:
		return invalid(sig, "its version is not known")
	}
	return nil
}

func weak(field, value, limit string) *errcode.Error {
	return errcode.New(errcode.SignatureWeak, "the signature rests on %s", value).
		With(errcode.Evidence{Structure: "signature", Field: field, Value: value, Limit: limit})
}

func invalid(sig *packet.Signature, what string) *errcode.Error {
	ev := errcode.Evidence{Structure: "signature"}
	if sig != nil {
		ev.Field, ev.Value = "key", issuer(sig)
	}
	return errcode.New(errcode.SignatureInvalid, "the signature is not good: %s", what).With(ev)
}

// issuer names the key that a signature names.
func issuer(sig *packet.Signature) string {
	if len(sig.IssuerFingerprint) > 0 {
		return strings.ToUpper(hex.EncodeToString(sig.IssuerFingerprint))
	}
	if sig.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return "unknown"
}

// Lane names the hash that a signature needs: two of the same lane need the same.
// It is "" if the signature cannot be checked whatever its bytes are.
func (s *Signature) Lane() string {
	if s.refused != nil {
		return ""
	}
	lane := strings.ToLower(strings.ReplaceAll(s.sig.Hash.String(), "-", ""))
	if salt := s.sig.Salt(); len(salt) > 0 {
		lane += "+" + hex.EncodeToString(salt)
	}
	return lane
}

// NewHash returns the hash that the signed bytes must go through. It keeps its
// state as those of the standard library do.
func (s *Signature) NewHash() (hash.Hash, error) {
	if s.refused != nil {
		return nil, s.refused
	}
	return s.sig.PrepareVerify()
}

// OverText reports whether the signature is over a text whose ends of lines are
// made CRLF before they are hashed (RFC 9580, section 5.2.1).
func (s *Signature) OverText() bool {
	return s.refused == nil && s.sig.SigType == packet.SigTypeText
}

// hashOf hashes a short file for a signature.
func (s *Signature) hashOf(p []byte) (hash.Hash, error) {
	h, err := s.NewHash()
	if err != nil {
		return nil, err
	}
	w := h
	if s.OverText() {
		w = openpgp.NewCanonicalTextHash(h)
	}
	w.Write(p)
	return h, nil
}

// A Signed says who signed.
type Signed struct {
	Keyring     string
	Fingerprint string // of the primary key, hex in upper case
	SigningKey  string // of the subkey that signed, "" for the primary key
	UserID      string // primary one of the key
	Hash        string // the lane without a salt
	At          time.Time
}
