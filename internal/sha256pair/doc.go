// Package sha256pair takes two SHA-256 digests at once on one core.
//
// The rounds of SHA-256 wait for each other, so that a processor with instructions
// for them has half of its time left over: a second, independent digest costs next to
// nothing beside the first. An import takes many: of each block for the content digest,
// and of all stored bytes.
//
// The algorithm is that of FIPS 180-4, section 6.2; the instructions are the SHA
// extensions of Intel's and AMD's processors. Where there are none, the standard
// library takes one digest after the other, with the same result.
package sha256pair
