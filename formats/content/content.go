// Package content computes the content digest: a digest of a disk's guest
// bytes that is the same whatever format the disk is stored in, and that costs
// nothing for holes. docs/content-digest.md defines it so that anyone can
// recompute it; it never changes under the same name.
package content

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"ingest/internal/binio"
	"ingest/internal/sha256pair"
)

// Name is the digest's name, which stands before the colon of its text form.
const Name = "ingest-content-v1"

// BlockBytes is the size of a block. A disk's last block may be shorter.
const BlockBytes = 2 << 20

// A Leaf is the digest of one block: SHA-256 of its bytes, or all zeros for a
// block whose bytes are all zero.
type Leaf [sha256.Size]byte

// LeafOf returns the leaf of a block.
func LeafOf(block []byte) Leaf {
	if binio.IsZero(block) {
		return Leaf{}
	}
	return sha256.Sum256(block)
}

// LeavesOf returns the leaves of two blocks of which neither is all zeros.
func LeavesOf(a, b []byte) (Leaf, Leaf) {
	x, y := sha256pair.Sum(a, b)
	return x, y
}

// LeafAndMore returns the leaf of a block that is not all zeros, and writes the block
// to h, which is a digest of crypto/sha256.
func LeafAndMore(h hash.Hash, block []byte) Leaf { return sha256pair.WriteAndSum(h, block) }

// A Hasher folds the leaves of a disk, in order, into its content digest. Its
// state is small, so that it can be kept in a checkpoint.
type Hasher struct {
	size int64 // virtual size
	off  int64 // guest bytes folded so far
	h    hash.Hash
}

// New returns the hasher for a disk of the given virtual size in bytes.
func New(size int64) *Hasher {
	h := &Hasher{size: size, h: sha256.New()}
	head := make([]byte, 0, len(Name)+17)
	head = append(head, Name...)
	head = append(head, 0)
	head = binary.LittleEndian.AppendUint64(head, uint64(size))
	head = binary.LittleEndian.AppendUint64(head, BlockBytes)
	h.h.Write(head)
	return h
}

// Off returns the guest offset up to which blocks were folded.
func (h *Hasher) Off() int64 { return h.off }

// Size returns the virtual size.
func (h *Hasher) Size() int64 { return h.size }

// Add folds the leaf of the next block.
func (h *Hasher) Add(l Leaf) {
	h.h.Write(l[:])
	h.off = min(h.off+BlockBytes, h.size)
}

// AddZeros folds the next n bytes, all zero. n must be whole blocks, unless it
// reaches the end of the disk.
func (h *Hasher) AddZeros(n int64) {
	var zeros [64 * sha256.Size]byte
	for blocks := binio.DivCeil(n, BlockBytes); blocks > 0; {
		k := min(blocks, 64)
		h.h.Write(zeros[:k*sha256.Size])
		blocks -= k
	}
	h.off = min(h.off+n, h.size)
}

// Sum returns the digest in its text form, Name:HEX. All blocks must have been
// folded.
func (h *Hasher) Sum() (string, error) {
	if h.off != h.size {
		return "", fmt.Errorf("content digest: %d of %d bytes seen", h.off, h.size)
	}
	return Name + ":" + hex.EncodeToString(h.h.Sum(nil)), nil
}

// MarshalBinary returns the state for a checkpoint.
func (h *Hasher) MarshalBinary() ([]byte, error) {
	st, err := h.h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(h.size))
	out = binary.LittleEndian.AppendUint64(out, uint64(h.off))
	return append(out, st...), nil
}

// ErrState is returned for a state that is not a Hasher's.
var ErrState = errors.New("not a content digest state")

// UnmarshalBinary sets the state.
func (h *Hasher) UnmarshalBinary(p []byte) error {
	if len(p) < 16 {
		return ErrState
	}
	inner := sha256.New()
	if err := inner.(encoding.BinaryUnmarshaler).UnmarshalBinary(p[16:]); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	size := int64(binary.LittleEndian.Uint64(p))
	off := int64(binary.LittleEndian.Uint64(p[8:]))
	if size < 0 || off < 0 || off > size || (off%BlockBytes != 0 && off != size) {
		return ErrState
	}
	h.size, h.off, h.h = size, off, inner
	return nil
}

// Valid reports whether s is a content digest in text form.
func Valid(s string) bool {
	hexa, ok := strings.CutPrefix(s, Name+":")
	if !ok || len(hexa) != 2*sha256.Size {
		return false
	}
	_, err := hex.DecodeString(hexa)
	return err == nil && hexa == strings.ToLower(hexa)
}
