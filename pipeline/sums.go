package pipeline

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"hash"

	"ingest/formats/content"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/sha256pair"
)

// storedSums are the digests of an image's stored bytes, taken in their order.
type storedSums struct {
	algo string    // of sum
	sum  hash.Hash // the stored digest
	md5  hash.Hash // nil if it is switched off
	// blocks is nil behind a state that did not have it.
	blocks *blockSums
	trail  *trail // nil if nothing is read back on the way
}

// newSums returns the digests that the operator wants of stored bytes.
func (p *Pipeline) newSums() *storedSums {
	s := &storedSums{algo: "sha256", sum: sha256.New(), blocks: &blockSums{}}
	if p.HashAlgo == "sha512" {
		s.algo, s.sum = "sha512", sha512.New()
	}
	if p.MD5 {
		s.md5 = md5.New()
	}
	return s
}

// unit takes the next unit.
func (s *storedSums) unit(u *transfer.Unit) {
	s.fold(u)
	if u.Data == nil {
		s.zeros(u.Len)
		return
	}
	s.sum.Write(u.Data)
	if s.md5 != nil {
		s.md5.Write(u.Data)
	}
}

func (s *storedSums) fold(u *transfer.Unit) {
	if s.blocks == nil {
		return
	}
	if crc := s.blocks.unit(u); s.trail != nil && u.Data != nil {
		s.trail.follow(u.Off, len(u.Data), crc)
	}
}

// maxLeavesInOrder is how many workers at most leave the content digest's leaves to
// the one that takes the stored digest: more deliver faster than that one would then be.
const maxLeavesInOrder = 4

// tap hangs the digests into an engine that copies the stored bytes.
func (s *storedSums) tap(e *transfer.Engine) {
	e.Tap = s.unit
	if s.algo == "sha256" && e.Digest != nil && e.NumWorkers() <= maxLeavesInOrder && sha256pair.Pays() {
		e.TapLeaf = s.unitLeaf
	}
}

// unitLeaf takes the next unit, of data, and its leaf on the way.
func (s *storedSums) unitLeaf(u *transfer.Unit) content.Leaf {
	s.fold(u)
	if s.md5 != nil {
		s.md5.Write(u.Data)
	}
	return content.LeafAndMore(s.sum, u.Data)
}

// zeros takes n zero bytes.
func (s *storedSums) zeros(n int64) {
	hashZeros(s.sum, n)
	if s.md5 != nil {
		hashZeros(s.md5, n)
	}
}

// A sumsState is what another attempt goes on with.
type sumsState struct {
	Algo string `json:"algo"`
	Sum  []byte `json:"sum"`
	MD5  []byte `json:"md5,omitempty"`
	// Blocks is the state of blockSums.
	Blocks *uint64 `json:"blocks,omitempty"`
}

// state returns where the digests are.
func (s *storedSums) state() sumsState {
	st := sumsState{Algo: s.algo}
	st.Sum, _ = s.sum.(encoding.BinaryMarshaler).MarshalBinary()
	if s.md5 != nil {
		st.MD5, _ = s.md5.(encoding.BinaryMarshaler).MarshalBinary()
	}
	if s.blocks != nil {
		fold := s.blocks.fold
		st.Blocks = &fold
	}
	return st
}

// restore takes a state up. It reports false, and the digests are then worth
// nothing, if the state is of others.
func (s *storedSums) restore(st sumsState) bool {
	s.blocks = nil
	if st.Blocks != nil {
		s.blocks = &blockSums{*st.Blocks}
	}
	return st.Algo == s.algo && len(st.Sum) > 0 && len(st.MD5) > 0 == (s.md5 != nil) && restore(s.sum, st.Sum) && (s.md5 == nil || restore(s.md5, st.MD5))
}

// result returns the digests.
func (s *storedSums) result() contract.StoredSums {
	out := contract.StoredSums{HashAlgo: s.algo, HashValue: hex.EncodeToString(s.sum.Sum(nil))}
	if s.md5 != nil {
		out.Checksum = hex.EncodeToString(s.md5.Sum(nil))
	}
	if s.blocks != nil {
		out.Blocks = s.blocks.text()
	}
	return out
}

// fits reports whether digests that were taken before are those that s takes.
func (s *storedSums) fits(known *contract.StoredSums) bool {
	return known != nil && known.HashAlgo == s.algo && known.HashValue != "" && (known.Checksum != "" || s.md5 == nil)
}
