package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"ingest/internal/errcode"
)

// A Keyring holds keys that an operator trusts. It is not changed once made.
type Keyring struct {
	Name string
	keys openpgp.EntityList
}

var errSecret = errors.New("it holds a secret key: a keyring holds public keys alone, as gpg --export writes them")

// A KeyInfo describes a key of a keyring, for people.
type KeyInfo struct {
	Fingerprint string    `json:"fingerprint"` // hex in upper case
	UserID      string    `json:"user_id,omitempty"`
	Created     time.Time `json:"created_at"`
	Expires     time.Time `json:"expires_at,omitzero"` // zero for never
	Revoked     bool      `json:"revoked,omitempty"`
}

// OpenKeyring reads public keys as `gpg --export` writes them, with --armor or
// without: the form of /usr/share/keyrings too. Keys of unknown kinds are left out;
// a file without any other, and one with a secret key, is refused.
func OpenKeyring(name string, p []byte) (*Keyring, error) {
	if len(p) > MaxKeyringBytes {
		return nil, fmt.Errorf("it has more than %d bytes", MaxKeyringBytes)
	}
	if len(p) >= 12 && string(p[8:12]) == "KBXf" {
		return nil, errors.New("it is a keybox of gpg: write the keys out with gpg --export")
	}
	blocks, err := keyBlocks(p)
	if err != nil {
		return nil, err
	}
	k := &Keyring{Name: name}
	for _, b := range blocks {
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("its keys cannot be read: %w", err)
		}
		k.keys = append(k.keys, keys...)
	}
	for _, e := range k.keys {
		if e.PrivateKey != nil {
			return nil, errSecret
		}
	}
	if len(k.keys) == 0 {
		return nil, errors.New("it holds no public key")
	}
	return k, nil
}

// keyBlocks takes the armor off, if there is one. Several blocks may follow each
// other.
func keyBlocks(p []byte) ([][]byte, error) {
	const end = "-----END PGP PUBLIC KEY BLOCK-----"
	if len(p) > 0 && p[0]&0x80 != 0 { // a packet's tag (RFC 9580, section 4.2)
		return [][]byte{p}, nil
	}
	if bytes.Contains(p, []byte(openpgp.PrivateKeyType)) {
		return nil, errSecret
	}
	var out [][]byte
	for len(bytes.TrimSpace(p)) > 0 {
		i := bytes.Index(p, []byte(end))
		if i < 0 {
			return nil, errors.New("it is neither a block of public keys in ASCII armor nor one in binary form")
		}
		part := p[:i+len(end)]
		p = p[len(part):]
		block, err := armor.Decode(bytes.NewReader(part))
		if err != nil {
			return nil, fmt.Errorf("its armor is damaged: %w", err)
		}
		raw, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, fmt.Errorf("its armor is damaged: %w", err)
		}
		out = append(out, raw)
	}
	return out, nil
}

// Keys describes the keys, in the keyring's order.
func (k *Keyring) Keys(now time.Time) []KeyInfo {
	var out []KeyInfo
	for _, e := range k.keys {
		self, id := e.PrimarySelfSignature()
		info := KeyInfo{Fingerprint: fingerprint(e.PrimaryKey), Created: e.PrimaryKey.CreationTime.UTC(), Revoked: e.Revoked(now)}
		if id != nil {
			info.UserID = id.Name
		}
		if at, ok := expiry(e.PrimaryKey, self); ok {
			info.Expires = at
		}
		out = append(out, info)
	}
	return out
}

func fingerprint(k *packet.PublicKey) string {
	return strings.ToUpper(hex.EncodeToString(k.Fingerprint))
}

// expiry is when a key expires, as the self-signature says.
func expiry(k *packet.PublicKey, self *packet.Signature) (time.Time, bool) {
	if self == nil || self.KeyLifetimeSecs == nil || *self.KeyLifetimeSecs == 0 {
		return time.Time{}, false
	}
	return k.CreationTime.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second).UTC(), true
}

// Keyrings are all that an operator has given.
type Keyrings []*Keyring

// Names lists the keyrings' names.
func (ks Keyrings) Names() []string {
	var out []string
	for _, k := range ks {
		out = append(out, k.Name)
	}
	return out
}

// Named returns the keyrings to try: the named one, or all for "". It returns
// errcode.KeyringUnknown if there is none.
func (ks Keyrings) Named(name string) (Keyrings, error) {
	if len(ks) == 0 {
		return nil, errcode.New(errcode.KeyringUnknown, "a signature is asked for, and the server has no keyring").
			With(errcode.Evidence{Structure: "request", Field: "keyring", Value: name})
	}
	if name == "" {
		return ks, nil
	}
	i := slices.IndexFunc(ks, func(k *Keyring) bool { return k.Name == name })
	if i < 0 {
		return nil, errcode.New(errcode.KeyringUnknown, "there is no keyring %q", clip(name)).
			With(errcode.Evidence{Structure: "request", Field: "keyring", Value: clip(name), Limit: strings.Join(ks.Names(), ", ")})
	}
	return ks[i : i+1], nil
}

// A candidate is a key that may have made a signature.
type candidate struct {
	ring *Keyring
	openpgp.Key
}

// find returns the keys that a signature names.
func (ks Keyrings) find(sig *packet.Signature) []candidate {
	var out []candidate
	for _, ring := range ks {
		for _, key := range ring.named(sig) {
			out = append(out, candidate{ring, key})
		}
	}
	return out
}

// named returns the keyring's keys that a signature names, by fingerprint if it
// gives one, else by the shorter id.
func (k *Keyring) named(sig *packet.Signature) []openpgp.Key {
	var out []openpgp.Key
	is := func(pk *packet.PublicKey) bool {
		if len(sig.IssuerFingerprint) > 0 {
			return bytes.Equal(pk.Fingerprint, sig.IssuerFingerprint)
		}
		return sig.IssuerKeyId != nil && pk.KeyId == *sig.IssuerKeyId
	}
	for _, e := range k.keys {
		self, _ := e.PrimarySelfSignature()
		if is(e.PrimaryKey) {
			out = append(out, openpgp.Key{Entity: e, PublicKey: e.PrimaryKey, SelfSignature: self, Revocations: e.Revocations})
		}
		for _, s := range e.Subkeys {
			if is(s.PublicKey) {
				out = append(out, openpgp.Key{Entity: e, PublicKey: s.PublicKey, SelfSignature: s.Sig, Revocations: s.Revocations})
			}
		}
	}
	return out
}
