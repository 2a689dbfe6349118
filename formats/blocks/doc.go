// Package blocks writes the formats that cut a disk into equal blocks behind one
// run of tables: VMDK monolithicSparse, VHD dynamic, VHDX and VDI. All of them
// are laid out alike:
//
//	head: headers and tables | stored blocks in guest order | tail
//
// A format says with a Layout what its head and tail hold; this package does the
// rest. Which blocks are stored is all that the tables depend on, so one Layout
// serves both ways to write: a Planner, which learns the stored blocks from the
// source's extents and computes any range of the output at any time, and an
// Encoder, which finds them on one forward pass over a source that cannot tell
// its holes, and writes the head last.
//
// Words: a block is a run of BlockSize guest bytes; a stored block takes
// BlockHead host bytes of its own (VHD's sector bitmap) and BlockSize bytes of
// data.
package blocks
