package imgtest

import "encoding/binary"

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// lineWords is how many words of 8 bytes share one random word of Text.
const lineWords = 16

// fill writes the bytes of the given kind that lie at guest offset off.
func fill(p []byte, k Kind, seed uint64, off int64) {
	if !k.IsData() {
		clear(p)
		return
	}
	word := uint64(off) / 8
	if skip := int(off % 8); skip != 0 {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], wordAt(k, seed, word))
		p = p[copy(p, b[skip:]):]
		word++
	}
	for ; len(p) >= 8; word++ {
		binary.LittleEndian.PutUint64(p, wordAt(k, seed, word))
		p = p[8:]
	}
	if len(p) > 0 {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], wordAt(k, seed, word))
		copy(p, b[:])
	}
}

// wordAt returns the 8 bytes at guest offset 8*i.
func wordAt(k Kind, seed, i uint64) uint64 {
	if k == Noise {
		return noZero(mix(seed ^ i*0x9E3779B97F4A7C15))
	}
	if i%lineWords != 0 {
		return 0x20656E696C206120 + i%lineWords // " a line " and a varying first letter
	}
	return noZero(mix(seed + i))
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(v uint64) uint64 {
	v += 0x9E3779B97F4A7C15
	v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
	v = (v ^ v>>27) * 0x94D049BB133111EB
	return v ^ v>>31
}

// noZero sets the lowest bit of every byte of v that is zero.
func noZero(v uint64) uint64 {
	return v | ((v-ones)&^v&highs)>>7
}
