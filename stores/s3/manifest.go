package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"time"

	"ingest/stores"
)

// The states of an upload.
const (
	stateOpen      = "open"
	stateSealed    = "sealed"
	stateCommitted = "committed"
	stateAborted   = "aborted"
)

// A manifest is the durable state of an upload.
type manifest struct {
	State string `json:"state"`
	// Generation is raised by each Resume; only the handle that holds it may
	// change the upload.
	Generation int64 `json:"generation"`
	// Write is different in each version, so that the author of one whose
	// answer was lost knows it again.
	Write string `json:"write"`

	Size      int64  `json:"size"`                // as told to Begin
	PartSize  int64  `json:"part_size,omitempty"` // as fixed by the options
	Layout    layout `json:"layout,omitempty"`    // of the parts, once and for all
	Checksum  string `json:"checksum,omitempty"`  // of the parts
	Multipart string `json:"multipart,omitempty"` // the service's id, once parts were sent
	Held      []held `json:"held,omitempty"`      // parts that stand below parts/
	Bytes     int64  `json:"bytes"`               // in the service at the last change
	Note      []byte `json:"note,omitempty"`

	Sealed int64  `json:"sealed"` // bytes, when sealed
	ETag   string `json:"etag,omitempty"`

	Digest    stores.Digest `json:"digest"`
	Committed time.Time     `json:"committed,omitzero"`
}

// held is a part whose written bytes stand below parts/, under the generation
// of the handle that put them there: in pieces, of which each is what was written
// since the one before. What is put away again and again is so sent but once.
type held struct {
	Part       int   `json:"part"`
	Generation int64 `json:"generation"`
	First      int   `json:"first,omitempty"`  // number of the first piece
	Pieces     int   `json:"pieces,omitempty"` // 0 in older manifests: there was one
}

// pieces lists the numbers of the pieces.
func (h held) pieces() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range max(h.Pieces, 1) {
			if !yield(h.First + i) {
				return
			}
		}
	}
}

// readManifest returns the manifest of an upload and its ETag; isMissing tells
// that there is none.
func (s *Store) readManifest(ctx context.Context, id string) (m manifest, etag string, err error) {
	etag, err = s.get(ctx, s.manifestPath(id), &m)
	return m, etag, err
}

// writeManifest writes m under a condition. errCondition means that somebody
// else was first.
func (s *Store) writeManifest(ctx context.Context, id string, m *manifest, cond condition) (etag string, err error) {
	m.Write = rand.Text()
	etag, err = s.put(ctx, s.manifestPath(id), m, cond)
	if !errors.Is(err, errCondition) {
		return etag, err
	}
	// A request whose answer was lost is repeated by the SDK, and the repetition
	// fails by what the first one did.
	have, etag, getErr := s.readManifest(ctx, id)
	if getErr == nil && have.Write == m.Write {
		return etag, nil
	}
	return "", err
}
