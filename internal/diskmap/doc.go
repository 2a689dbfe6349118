// Package diskmap draws where a virtual disk's bytes are.
//
// A Map is made in one pass over the disk's extents, which are not kept: the
// disk is cut into cells of equal length, and each cell counts the bytes of
// each class that it holds. The counts are exact, so that the smallest extent
// can be shown on the largest disk. A class is an extent's state, with data
// told apart by whether it is stored compressed.
//
// A Grid is the shape of the cells: columns and rows, filled row by row from
// guest offset 0, so that the guest offset at the begin of each row is a round
// number in binary units. Totals are the sums over the whole disk.
//
// In order, of a host file, means that an extent of plain data begins in the
// file where the one before it ended; or further on by just as much as it is
// further on in the disk, as in a raw file, whose holes take no room. Whatever
// is not in order begins a new piece.
//
// A map is written as text for a terminal (WriteText), as a picture (Draw), or
// as JSON with all extents (WriteJSON), which streams.
package diskmap
