package provenance

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"ingest/internal/errcode"
)

// PayloadType is that of every in-toto statement (in-toto attestation framework v1,
// "Envelope").
const PayloadType = "application/vnd.in-toto+json"

// Media types of the two forms of a document. That of an envelope follows in-toto's
// pattern for single attestations, application/vnd.in-toto.PREDICATE+dsse.
const (
	StatementMedia = PayloadType
	EnvelopeMedia  = "application/vnd.in-toto.provenance+dsse"
)

// MaxDocumentBytes bounds what Open reads: the largest statement in base64, with room
// for many signatures.
const MaxDocumentBytes = 2 * MaxStatementBytes

// An Envelope is a signed payload (DSSE 1.0.2, envelope.md).
type Envelope struct {
	Payload     string      `json:"payload"` // base64
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// A Signature is one over PAE(payloadType, payload). KeyID is a hint that nothing
// protects.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"` // base64
}

// A Document is a record that was read: a statement, and how it was signed.
type Document struct {
	Statement Statement
	Payload   []byte    // the statement as it was written
	Envelope  *Envelope // nil if the record is not signed
}

// Open reads a record. errcode.ProvenanceInvalid says that it is none. The signature
// is not checked: see Verify.
func Open(doc []byte) (Document, error) {
	if len(doc) > MaxDocumentBytes {
		return Document{}, invalid("has more than "+strconv.Itoa(MaxDocumentBytes)+" bytes", "")
	}
	var kind struct {
		PayloadType *string `json:"payloadType"`
	}
	if json.Unmarshal(doc, &kind) != nil {
		return Document{}, invalid("is no JSON object", "")
	}
	out := Document{Payload: doc}
	if kind.PayloadType != nil {
		out.Envelope = &Envelope{}
		if json.Unmarshal(doc, out.Envelope) != nil {
			return Document{}, invalid("is no envelope", "")
		}
		if out.Envelope.PayloadType != PayloadType {
			return Document{}, invalid("holds another payload", out.Envelope.PayloadType)
		}
		var ok bool
		if out.Payload, ok = unbase64(out.Envelope.Payload); !ok {
			return Document{}, invalid("has a payload that is no base64", "")
		}
	}
	s := &out.Statement
	switch err := json.Unmarshal(out.Payload, s); {
	case err != nil:
		return Document{}, invalid("holds no statement", "")
	case s.Type != StatementType:
		return Document{}, invalid("is another kind of statement", s.Type)
	case s.PredicateType != PredicateType:
		return Document{}, invalid("says something else of its subject", s.PredicateType)
	case len(s.Subject) != 1 || s.Subject[0].Name == "" || len(s.Subject[0].Digest) == 0:
		return Document{}, invalid("is not about one image and its digest", "")
	}
	return out, nil
}

// Media is the document's media type.
func (d Document) Media() string {
	if d.Envelope == nil {
		return StatementMedia
	}
	return EnvelopeMedia
}

// Verify returns nil if one of the signatures is the key's, and else
// errcode.ProvenanceSignature.
func (d Document) Verify(key ed25519.PublicKey) error {
	id := KeyID(key)
	if d.Envelope == nil || len(d.Envelope.Signatures) == 0 {
		return errcode.New(errcode.ProvenanceSignature, "the provenance record is not signed").
			With(errcode.Evidence{Structure: "envelope", Field: "signatures", Limit: id})
	}
	message := pae(d.Envelope.PayloadType, d.Payload)
	for _, s := range d.Envelope.Signatures {
		if sig, ok := unbase64(s.Sig); ok && len(sig) == ed25519.SignatureSize && ed25519.Verify(key, message, sig) {
			return nil
		}
	}
	return errcode.New(errcode.ProvenanceSignature, "no signature of the provenance record is that of the key").
		With(errcode.Evidence{Structure: "envelope", Field: "keyid", Value: d.Envelope.Signatures[0].KeyID, Limit: id})
}

// Seal signs a statement.
func (k *Key) Seal(statement []byte) ([]byte, error) {
	sig := ed25519.Sign(k.private, pae(PayloadType, statement))
	return marshal(Envelope{
		Payload: base64.StdEncoding.EncodeToString(statement), PayloadType: PayloadType,
		Signatures: []Signature{{KeyID: k.ID(), Sig: base64.StdEncoding.EncodeToString(sig)}},
	})
}

// pae is the message that is signed (DSSE 1.0.2, protocol.md, "PAE").
func pae(kind string, body []byte) []byte {
	out := make([]byte, 0, len(kind)+len(body)+40)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(kind)), 10)
	out = append(append(append(out, ' '), kind...), ' ')
	out = strconv.AppendInt(out, int64(len(body)), 10)
	return append(append(out, ' '), body...)
}

// unbase64 takes both alphabets, as consumers must (envelope.md).
func unbase64(s string) ([]byte, bool) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if p, err := e.Strict().DecodeString(s); err == nil {
			return p, true
		}
	}
	return nil, false
}

func invalid(what, value string) error {
	return errcode.New(errcode.ProvenanceInvalid, "the provenance record %s", what).
		With(errcode.Evidence{Structure: "provenance", Value: short(value, 100)})
}
