// Package vhdx reads and writes Microsoft's VHDX disks (Hyper-V since 2012, Disk2vhd,
// qemu), after [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format"; section
// numbers in this package are that document's.
//
// The words: everything in the file lies at multiples of 1 MiB. The header
// section (2.2) fills the first: the file type identifier, two headers of which
// the one with the higher sequence number is current, and two copies of the
// region table. The region table names the metadata region (2.6), which holds
// block size, virtual size and sector sizes as items, and the block allocation
// table (BAT, 2.5). The guest's disk is cut into payload blocks of 1 to 256 MiB;
// the BAT has an entry for each, with its state and its host offset, and after
// each chunk of payload entries one for a sector bitmap block (2.4), which means
// something only against a parent. Chunk ratio is the number of payload blocks
// in a chunk. Numbers are little endian, checksums CRC-32C.
//
// A differencing disk, the child, has a parent, which its parent locator
// (2.6.2.6) names by paths and identifies by the DataWriteGuid of the parent's
// current header (2.2.2); parents may have parents, and the whole is a chain. A
// block that is not present in a child is the parent's; of one that is partially
// present, the sector bitmap block of its chunk says of each logical sector
// whether it is the child's (set) or the parent's, the least significant bit of a
// byte first.
//
// Every change of metadata goes through the log (2.3), a ring of entries with
// zero and data descriptors. A file that was not closed cleanly has a current
// header that names a log: its active sequence is replayed here in memory, as an
// overlay over the file, which itself is never written. All other structures are
// read through the overlay.
//
// Written: Dynamic, with an empty log.
//
// Read: fixed and dynamic disks, 512 and 4096 byte logical sectors (the latter
// with a finding), dirty logs. The states "undefined", "unmapped" and, from the
// draft 0.95, 5 read as zeros. A differencing disk is read by OpenSet over
// parents that the caller gives, all of the same virtual size and logical sector
// size. Open can inspect it; its data are refused then (Info().Unreadable), its
// parent is named and never opened.
// Refused: regions or metadata items that are marked as required and unknown,
// anything that overlaps, a log that is named and cannot be replayed.
package vhdx
