package pipeline

import (
	"context"
	"hash"
	"net/url"
	"strings"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
)

// An expectation is what the bytes of one file must come to, and who says so. The
// zero value expects nothing.
type expectation struct {
	proofs []contract.Verification // each with Algo and Digest, which must be the file's
	// sigs are signatures over the file itself, of which one must be good by a key
	// in keyrings; sigsURL is where they were.
	sigs     []*verify.Signature
	sigsURL  string
	keyrings verify.Keyrings
}

// any reports whether all bytes must be seen.
func (e *expectation) any() bool { return len(e.proofs) > 0 || len(e.sigs) > 0 }

// digest expects a digest, as v says.
func (e *expectation) digest(d verify.Digest, v contract.Verification) {
	v.Algo, v.Digest = d.Algo, d.Hex
	e.proofs = append(e.proofs, v)
}

// digester returns what the file's bytes must go through.
func (e *expectation) digester() (*digester, error) {
	d := &digester{}
	d.add(e.primary(), verify.NewHash(e.primary()))
	for _, v := range e.proofs {
		d.add(v.Algo, verify.NewHash(v.Algo))
	}
	for _, s := range e.sigs {
		lane := s.Lane()
		if lane == "" {
			continue // Check says why
		}
		h, err := s.NewHash()
		if err != nil {
			return nil, err
		}
		d.add(lane, h)
	}
	return d, nil
}

// primary is the algorithm of the digest by which the file is known from then on:
// that of the first proof, unless it is one that could be forged.
func (e *expectation) primary() string {
	for _, v := range e.proofs {
		if v.Algo != verify.MD5 {
			return v.Algo
		}
	}
	return verify.SHA256
}

// text is the digest by which the file will be known, as digester.text has it, "" if
// nobody has told it.
func (e *expectation) text() string {
	for _, v := range e.proofs {
		if v.Algo == e.primary() {
			return v.Algo + ":" + v.Digest
		}
	}
	return ""
}

// check compares what the bytes came to, and returns what that proves.
func (e *expectation) check(d *digester, now time.Time) ([]contract.Verification, error) {
	var out []contract.Verification
	for _, v := range e.proofs {
		if got := d.sum(v.Algo); got != v.Digest {
			return nil, mismatch(v, got)
		}
		v.VerifiedAt = now.UTC().Truncate(time.Second)
		out = append(out, v)
	}
	if len(e.sigs) == 0 {
		return out, nil
	}
	by, err := e.keyrings.Check(e.sigs, func(s *verify.Signature) (hash.Hash, error) { return d.clone(s.Lane()) }, now)
	if err != nil {
		return nil, err
	}
	return append(out, signedBy(by, contract.Verification{SignatureURL: e.sigsURL, Algo: by.Hash, VerifiedAt: now.UTC().Truncate(time.Second)})), nil
}

// mismatch says which digest is not that of the bytes.
func mismatch(v contract.Verification, got string) error {
	given := "the one that was given"
	if v.Kind != contract.VerifiedDigest {
		given = "the one in the checksum file"
	}
	if v.Kind == contract.VerifiedChecksumFile && v.URL != "" {
		given = "the one that stands in " + v.URL
	}
	return errcode.New(errcode.ChecksumMismatch, "the source's %s is not %s", v.Algo, given).
		With(errcode.Evidence{Structure: "source", Field: v.Algo, Value: v.Algo + ":" + got, Limit: v.Algo + ":" + v.Digest})
}

// signedBy adds who signed to a verification.
func signedBy(by verify.Signed, v contract.Verification) contract.Verification {
	v.Kind = contract.VerifiedSignature
	v.Keyring, v.Fingerprint, v.SigningKey, v.UserID, v.SignedAt = by.Keyring, by.Fingerprint, by.SigningKey, by.UserID, by.At
	return v
}

// expect finds out what the files' bytes must come to, before any of them is
// read: what is wrong with a checksum file or its signature is said at once.
func (p *Pipeline) expect(ctx context.Context, parts []*part, s contract.SourceSpec) error {
	wanted := s.Signature != "" || s.Keyring != ""
	var rings verify.Keyrings
	if wanted {
		var err error
		if rings, err = p.Keyrings.Named(s.Keyring); err != nil {
			return err
		}
	}
	if catalogued(parts, s) && !wanted {
		for _, pt := range parts {
			if err := pt.in(pt.expectCatalogue(p.AllowMD5)); err != nil {
				return err
			}
		}
		return nil
	}
	if s.ChecksumFile != "" {
		l, err := p.sumsList(ctx, s, wanted, rings)
		if err != nil {
			return err
		}
		for _, pt := range parts {
			if err := named(pt.name, l.expect(pt, p.AllowMD5)); err != nil {
				return err
			}
		}
		return nil
	}
	if !wanted {
		return nil
	}
	for _, pt := range parts {
		if err := named(pt.name, p.signature(ctx, pt, s, rings)); err != nil {
			return err
		}
	}
	return nil
}

// signature reads the signature over a file itself. Each file of an image has its
// own, so that a URL stands for that of the first one.
func (p *Pipeline) signature(ctx context.Context, pt *part, s contract.SourceSpec, rings verify.Keyrings) error {
	if s.Signature != "" && s.Signature != auto && len(s.Members) > 0 {
		return errcode.New(errcode.BadRequest, "an image of several files is signed by a signature over each, or over a checksum file: say auto, or give a checksum file").
			With(errcode.Evidence{Structure: "request", Field: "source.signature"})
	}
	sigs, at, err := p.signatureOf(ctx, pt.spec, s.Signature)
	if err != nil {
		return err
	}
	for _, one := range sigs {
		if one.OverText() {
			return errcode.New(errcode.SignatureInvalid, "the signature is over a text, and a disk image is none").
				With(errcode.Evidence{Structure: "signature", Field: "type", Value: "0x01"})
		}
	}
	// What cannot be good whatever the bytes are is refused before they are read.
	now := time.Now()
	if err := rings.Hopeless(sigs, now); err != nil {
		return err
	}
	// Each signature may ask for a hash of its own, by a salt (RFC 9580, section
	// 5.2.3): those of keys that nobody trusts get none.
	sigs = rings.Hopeful(sigs, now)
	pt.want.sigs, pt.want.sigsURL, pt.want.keyrings = sigs, publicURL(at), rings
	return nil
}

// publicURL is a URL without what may be secret in it: user, query and fragment. A
// path is what it is.
func publicURL(ref string) string {
	if !strings.Contains(ref, "://") {
		return ref
	}
	u, err := url.Parse(ref)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
