// Package zstandard compresses whole buffers into zstd frames (RFC 8878).
//
// It is for the clusters of disk images: tens of KiB, known in full, each a frame of
// its own. A frame is a single segment that tells its content size; it has no
// checksum and needs no dictionary. It consists of blocks of up to 64 KiB, raw ones or
// compressed ones, each with tables of its own:
//
//	literals   what no match stands for: raw, one byte that is repeated, or by a
//	           Huffman code in one stream or four
//	sequences  a literal length, a match length and an offset each, by three FSE
//	           tables: the predefined ones, one symbol, or tables of the block
//
// Distances are at most 64 KiB, so that a decoder needs little. Blocks of one repeated
// byte (RLE) are not written, since zstd until 1.4.3 stumbles over a frame that begins
// with one; a match says the same in a few bytes more.
//
// The same input gives the same frame, whatever an Encoder did before.
package zstandard
