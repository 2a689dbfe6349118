package verify

import (
	"crypto/rsa"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"ingest/internal/errcode"
)

const (
	// maxSkew is how far a publisher's clock may be ahead of ours.
	maxSkew = 5 * time.Minute
	// minRSABits is the shortest RSA key whose signatures are taken: NIST SP
	// 800-131A, section 3, allows none shorter.
	minRSABits = 2048
)

// CheckFile is Check for signatures over a short file.
func (ks Keyrings) CheckFile(sigs []*Signature, p []byte, now time.Time) (Signed, error) {
	return ks.Check(sigs, func(s *Signature) (hash.Hash, error) { return s.hashOf(p) }, now)
}

// Check returns who made the first of the signatures that is good. hashed returns
// the hash of the signed bytes that a signature asks for by NewHash; it is used up.
// If none is good, the error is the one that tells most: a signature that does not
// fit the bytes before one that fits with a bad key, and those before a key that is
// not in the keyrings.
func (ks Keyrings) Check(sigs []*Signature, hashed func(*Signature) (hash.Hash, error), now time.Time) (Signed, error) {
	if len(sigs) == 0 {
		return Signed{}, errcode.New(errcode.SignatureMissing, "there is no signature").With(errcode.Evidence{Structure: "signature"})
	}
	var worst *errcode.Error
	for _, s := range sigs {
		signed, err := ks.checkOne(s, hashed, now)
		if err == nil {
			return signed, nil
		}
		e, ok := errcode.As(err)
		if !ok {
			return Signed{}, err
		}
		if worst == nil || rank(e.Code) < rank(worst.Code) {
			worst = e
		}
	}
	return Signed{}, worst
}

// Hopeless returns why none of the signatures can be good whatever the signed bytes
// are, nil if one may be: for what is large, it is asked before they are read. What
// a signature says of itself is left to Check, which first finds out whether it is
// genuine.
func (ks Keyrings) Hopeless(sigs []*Signature, now time.Time) error {
	var worst *errcode.Error
	for _, s := range sigs {
		err := ks.hopeless(s, now)
		e, ok := errcode.As(err)
		if !ok {
			return err
		}
		if worst == nil || rank(e.Code) < rank(worst.Code) {
			worst = e
		}
	}
	if worst == nil {
		return nil
	}
	return worst
}

// Hopeful returns the signatures that may be good, as Hopeless judges them: none but
// these are worth a hash of large bytes. Hopeless returns nil if there is one.
func (ks Keyrings) Hopeful(sigs []*Signature, now time.Time) []*Signature {
	return slices.DeleteFunc(slices.Clone(sigs), func(s *Signature) bool { return ks.hopeless(s, now) != nil })
}

// hopeless is Hopeless for one signature.
func (ks Keyrings) hopeless(s *Signature, now time.Time) error {
	if s.refused != nil {
		return s.refused
	}
	first := ks.unknown(s)
	for _, key := range ks.find(s.sig) {
		err := key.strong()
		if err == nil {
			err = key.mayverify(s.sig)
		}
		if err == nil {
			err = key.live(now)
		}
		if err == nil {
			return nil
		}
		if errcode.Of(first) == errcode.SignatureKeyUnknown {
			first = err
		}
	}
	return first
}

// unknown says that a signature's key is in no keyring.
func (ks Keyrings) unknown(s *Signature) error {
	return errcode.New(errcode.SignatureKeyUnknown, "the signature's key %s is in no keyring", issuer(s.sig)).
		With(errcode.Evidence{Structure: "signature", Field: "key", Value: issuer(s.sig), Limit: "keyring " + strings.Join(ks.Names(), ", ")})
}

// rank orders the verdicts, the one that tells most first.
func rank(c errcode.Code) int {
	i := slices.Index([]errcode.Code{errcode.SignatureInvalid, errcode.SignatureKeyRevoked, errcode.SignatureKeyExpired,
		errcode.SignatureExpired, errcode.SignatureFuture, errcode.SignatureWeak, errcode.SignatureKeyUnknown}, c)
	if i < 0 {
		return len(c) + 100
	}
	return i
}

// checkOne tries every key that one signature may be of.
func (ks Keyrings) checkOne(s *Signature, hashed func(*Signature) (hash.Hash, error), now time.Time) (Signed, error) {
	if s.refused != nil {
		return Signed{}, s.refused
	}
	keys := ks.find(s.sig)
	if len(keys) == 0 {
		return Signed{}, ks.unknown(s)
	}
	var first error
	for _, key := range keys {
		h, err := hashed(s)
		if err == nil {
			err = key.check(s.sig, h, now)
		}
		if err == nil {
			return key.signed(s), nil
		}
		if first == nil {
			first = err
		}
	}
	return Signed{}, first
}

// signed says who signed.
func (k candidate) signed(s *Signature) Signed {
	algo, _, _ := strings.Cut(s.Lane(), "+")
	out := Signed{Keyring: k.ring.Name, Fingerprint: fingerprint(k.Entity.PrimaryKey), Hash: algo, At: s.sig.CreationTime.UTC()}
	if _, id := k.Entity.PrimarySelfSignature(); id != nil {
		out.UserID = id.Name
	}
	if k.subkey() {
		out.SigningKey = fingerprint(k.PublicKey)
	}
	return out
}

// subkey reports whether it is one.
func (k candidate) subkey() bool { return k.PublicKey != k.Entity.PrimaryKey }

// check judges a signature of this key. Its arithmetic comes first: of a signature
// that is not genuine, nothing else that it says means anything.
func (k candidate) check(sig *packet.Signature, h hash.Hash, now time.Time) error {
	if err := k.PublicKey.VerifySignature(h, sig); err != nil {
		return invalid(sig, "it is not one of these bytes")
	}
	if err := k.strong(); err != nil {
		return err
	}
	if err := k.mayverify(sig); err != nil {
		return err
	}
	if err := k.live(now); err != nil {
		return err
	}
	return signatureLive(sig, k, now)
}

// strong refuses keys that can be forged.
func (k candidate) strong() error {
	for _, pk := range []*packet.PublicKey{k.Entity.PrimaryKey, k.PublicKey} {
		switch pk.PubKeyAlgo {
		case packet.PubKeyAlgoDSA, packet.PubKeyAlgoElGamal:
			return weak("key", "a DSA key, "+fingerprint(pk), "RSA, ECDSA or EdDSA")
		}
		if key, ok := pk.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
			return weak("key", fmt.Sprintf("an RSA key of %d bits, %s", key.N.BitLen(), fingerprint(pk)), fmt.Sprintf("%d bits", minRSABits))
		}
	}
	return nil
}

// mayverify refuses a key that is not for signing, and what must not be ignored
// and is not understood (RFC 9580, section 5.2.3.24).
func (k candidate) mayverify(sig *packet.Signature) error {
	self, _ := k.Entity.PrimarySelfSignature()
	if self == nil || k.SelfSignature == nil {
		return invalid(sig, "its key has no valid self-signature")
	}
	// Without flags a primary key may do all that its algorithm can; a subkey for
	// signing must say so, and is then known to have agreed to it.
	if flags := k.SelfSignature; !flags.FlagSign && (flags.FlagsValid || k.subkey()) {
		return invalid(sig, "its key is not for signing")
	}
	for _, s := range []*packet.Signature{sig, self, k.SelfSignature, k.SelfSignature.EmbeddedSignature} {
		if s == nil {
			continue
		}
		for _, n := range s.Notations {
			if n.IsCritical {
				return invalid(sig, "it demands a notation that is not known, "+clip(n.Name))
			}
		}
	}
	return nil
}

// live refuses a key that is revoked or has expired, as of today: what a key signed
// before proves nothing once it may be in other hands, since a signature's date is
// set by who makes it.
func (k candidate) live(now time.Time) error {
	self, id := k.Entity.PrimarySelfSignature()
	if k.Entity.Revoked(now) || k.subkey() && k.Revoked(now) || id != nil && id.Revoked(now) {
		return errcode.New(errcode.SignatureKeyRevoked, "the signature's key %s has been revoked", fingerprint(k.PublicKey)).
			With(errcode.Evidence{Structure: "keyring " + k.ring.Name, Field: "key", Value: fingerprint(k.PublicKey)})
	}
	for _, c := range []struct {
		key  *packet.PublicKey
		self *packet.Signature
	}{{k.Entity.PrimaryKey, self}, {k.PublicKey, k.SelfSignature}} {
		if c.key.CreationTime.After(now.Add(maxSkew)) {
			return errcode.New(errcode.SignatureFuture, "the signature's key %s was made in the future", fingerprint(c.key)).
				With(errcode.Evidence{Structure: "keyring " + k.ring.Name, Field: "made", Value: stamp(c.key.CreationTime), Limit: stamp(now)})
		}
		if at, ok := expiry(c.key, c.self); ok && now.After(at) {
			return expired(k, c.key, at, now)
		}
		if at, ok := lifetime(c.self); ok && now.After(at) {
			return expired(k, c.key, at, now)
		}
	}
	return nil
}

func expired(k candidate, key *packet.PublicKey, at, now time.Time) *errcode.Error {
	return errcode.New(errcode.SignatureKeyExpired, "the signature's key %s has expired at %s", fingerprint(key), stamp(at)).
		With(errcode.Evidence{Structure: "keyring " + k.ring.Name, Field: "expires, of key " + fingerprint(key), Value: stamp(at), Limit: stamp(now)})
}

// lifetime is when a signature expires.
func lifetime(sig *packet.Signature) (time.Time, bool) {
	if sig.SigLifetimeSecs == nil || *sig.SigLifetimeSecs == 0 {
		return time.Time{}, false
	}
	return sig.CreationTime.Add(time.Duration(*sig.SigLifetimeSecs) * time.Second).UTC(), true
}

// signatureLive refuses a signature that is not of its time.
func signatureLive(sig *packet.Signature, k candidate, now time.Time) error {
	made := sig.CreationTime
	if made.After(now.Add(maxSkew)) {
		return errcode.New(errcode.SignatureFuture, "the signature was made in the future, at %s", stamp(made)).
			With(errcode.Evidence{Structure: "signature of key " + fingerprint(k.PublicKey), Field: "made", Value: stamp(made), Limit: stamp(now)})
	}
	if made.Before(k.PublicKey.CreationTime) {
		return invalid(sig, "it is older than its key")
	}
	if at, ok := lifetime(sig); ok && now.After(at) {
		return errcode.New(errcode.SignatureExpired, "the signature has expired at %s", stamp(at)).
			With(errcode.Evidence{Structure: "signature of key " + fingerprint(k.PublicKey), Field: "expires", Value: stamp(at), Limit: stamp(now)})
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
