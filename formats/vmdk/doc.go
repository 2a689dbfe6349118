// Package vmdk reads and writes VMware virtual disks: those that are whole in one
// file, and, reading only, sets of several files that the caller gives together.
//
// The words are those of VMware's "Virtual Disk Format 5.0" technical note. A
// sparse extent file begins with a header (magic KDMV, section "Hosted Sparse
// Extent Header"). The guest's bytes lie in grains, 64 KiB each as a rule. A
// grain table (GT) holds 512 entries (GTE), each the sector of one grain; the
// grain directory (GD) holds the sector of each grain table. 0 means never
// written; a GTE of 1 means a grain of zeros if the header's flag says so. A
// text descriptor, embedded at sector 1, names the kind of disk (createType),
// its extent files and its parent.
//
// In a streamOptimized disk each grain is compressed (zlib, RFC 1950) behind a
// grain marker that repeats its guest address, and structures are announced by
// markers. Three dialects exist: the grain directory at its final place in the
// header, the tables before the grains (qemu) or behind them (open-vmdk, which
// rewrites the header at the end); and GD_AT_END in the header, the true one
// being in a footer before the last sector (VMware, VirtualBox). All are read.
//
// Compressed grains can be had as they are stored (formats.PackedReader): a
// grain's host range begins with its marker, its stream behind it.
//
// A set is a text descriptor and its extent files, the members. A line of the
// descriptor is an extent of one after the other: FLAT and VMFS are plain bytes
// from an offset in the file on, SPARSE is a sparse extent file, ZERO is zeros
// without a file. Files are found by their exact base names among the members
// (OpenSet); a name with a folder, drive or device is refused, and no name is
// ever opened.
//
// Written: Stream (streamOptimized, in VMware's dialect) and Sparse
// (monolithicSparse).
//
// Read: monolithicSparse and streamOptimized, header versions 1 to 3; with
// members also monolithicFlat, twoGbMaxExtentFlat, twoGbMaxExtentSparse, vmfs
// and vmfsThin.
// Refused: a text descriptor without its extent files; extents that are other
// files, behind a KDMV header of capacity 0; every other createType, such as
// fullDevice and custom; COWD (vmfsSparse) and seSparse files; deltas on a
// parent. The redundant grain directory is ignored.
package vmdk
