package sha256pair

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// Pays reports whether two digests at once cost less here than one after the other.
func Pays() bool { return fast }

// Sum returns the digests of a and b.
func Sum(a, b []byte) (x, y [sha256.Size]byte) {
	n := min(len(a), len(b)) / sha256.BlockSize
	if !fast || n == 0 {
		return sha256.Sum256(a), sha256.Sum256(b)
	}
	u, v := initial, initial
	blocks(&u, &v, &a[0], &b[0], n)
	done := n * sha256.BlockSize
	return finish(u, a, done), finish(v, b, done)
}

// WriteAndSum writes p to h, which is one of crypto/sha256, and returns the digest of
// p alone.
func WriteAndSum(h hash.Hash, p []byte) [sha256.Size]byte {
	n := len(p) / sha256.BlockSize
	if n > 0 && fast {
		if s, ok := stateOf(h); ok {
			alone := initial
			blocks(&s.words, &alone, &p[0], &p[0], n)
			done := n * sha256.BlockSize
			s.length += uint64(done)
			if s.into(h) {
				h.Write(p[done:])
				return finish(alone, p, done)
			}
		}
	}
	h.Write(p)
	return sha256.Sum256(p)
}

// words are a state of the digest in the order of the instructions: f e b a h g d c.
type words = [8]uint32

// initial is the state at the begin (FIPS 180-4, section 5.3.3).
var initial = words{0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667, 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372}

// order says which word of the standard's order stands where in words.
var order = [8]int{5, 4, 1, 0, 7, 6, 3, 2}

// The form in which the standard library marshals a digest: magic, eight words, the
// block that is not full, and the length. It is kept by the library's promise of
// compatibility between versions; stateOf is careful all the same.
const (
	magic     = "sha\x03"
	wordsAt   = len(magic)
	bufferAt  = wordsAt + sha256.Size
	lengthAt  = bufferAt + sha256.BlockSize
	stateSize = lengthAt + 8
)

// A state is a digest between two blocks.
type state struct {
	words  words
	length uint64 // bytes
}

// stateOf returns the state of a digest, false if it is not between two blocks or not
// one that is known.
func stateOf(h hash.Hash) (s state, ok bool) {
	m, ok := h.(encoding.BinaryAppender)
	if !ok {
		return s, false
	}
	var buf [stateSize]byte
	p, err := m.AppendBinary(buf[:0])
	if err != nil || len(p) != stateSize || string(p[:wordsAt]) != magic {
		return s, false
	}
	s.length = binary.BigEndian.Uint64(p[lengthAt:])
	for i, k := range order {
		s.words[i] = binary.BigEndian.Uint32(p[wordsAt+4*k:])
	}
	return s, s.length%sha256.BlockSize == 0
}

// into makes h the digest of that state. It reports false, and h is what it was, if the
// library does not take it.
func (s state) into(h hash.Hash) bool {
	var p [stateSize]byte
	copy(p[:], magic)
	for i, k := range order {
		binary.BigEndian.PutUint32(p[wordsAt+4*k:], s.words[i])
	}
	binary.BigEndian.PutUint64(p[lengthAt:], s.length)
	m, ok := h.(encoding.BinaryUnmarshaler)
	return ok && m.UnmarshalBinary(p[:]) == nil
}

// finish returns the digest of p, of which done bytes have led to w.
func finish(w words, p []byte, done int) (out [sha256.Size]byte) {
	h := sha256.New()
	if !(state{w, uint64(done)}).into(h) {
		return sha256.Sum256(p)
	}
	h.Write(p[done:])
	h.Sum(out[:0])
	return out
}
