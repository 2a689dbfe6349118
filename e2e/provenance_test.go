package e2e

import (
	"bytes"

	"ingest/api/wire"
	"ingest/internal/provenance"
)

// recorded checks that an image has the record of where its bytes come from, that it
// fits the catalogue and the bytes that a download gives, and that nothing secret
// stands in it. A server that was given a key has signed it.
func (s *server) recorded(img wire.Image, sum string) provenance.Document {
	s.t.Helper()
	doc, err := s.api.Provenance(s.t.Context(), img.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := provenance.Open(doc)
	if err != nil {
		s.t.Fatalf("%v: %s", err, doc)
	}
	if _, err := d.Compare(provenance.Facts{ImageID: img.ID, Size: *img.Size, VirtualSize: *img.VirtualSize, HashAlgo: img.HashAlgo,
		HashValue: img.HashValue, MD5: img.Checksum, ContentDigest: img.ContentDigest}); err != nil {
		s.t.Errorf("%v: %s", err, d.Payload)
	}
	if err := d.CompareBytes(img.HashAlgo, sum); err != nil {
		s.t.Errorf("%v: %s", err, d.Payload)
	}
	if bytes.Contains(d.Payload, []byte("?")) || d.Statement.Predicate.RunDetails.Metadata.WorkflowID == "" {
		s.t.Errorf("record %s", d.Payload)
	}
	return d
}
