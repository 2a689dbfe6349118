// Package vhd reads and writes Microsoft's VHD disks (Virtual PC, Hyper-V generation 1,
// Azure, XenServer; qemu calls the format vpc).
//
// The words are those of the "Virtual Hard Disk Image Format Specification",
// version 1.0. A hard disk footer of 512 bytes (511 in files older than 2004)
// ends every file. A fixed disk is the guest's bytes and the footer. A dynamic
// disk begins with a copy of the footer, which points at the dynamic disk
// header (magic cxsparse), which points at the block allocation table (BAT):
// for each block of the guest, 2 MiB as a rule, the sector where the block's
// sector bitmap lies, with the block's data behind it, or 0xFFFFFFFF for a hole.
// All numbers are big endian.
//
// The virtual size is the footer's current size, never its geometry (CHS),
// which cannot express most sizes. Where the two differ, and some programs
// would cut the disk to the geometry, a finding says so.
//
// A differencing disk is a dynamic one that stores only what differs from
// another disk, its parent: a sector whose bit in the block's sector bitmap is
// clear, and all of a block that is not allocated, is the parent's. It names its
// parent by the unique id of the parent's footer; file names and locators in
// the header are shown and never followed. The parents come from the caller
// (OpenSet), and may be fixed, dynamic or differencing themselves: a chain.
//
// XenServer adds a batmap behind the BAT: which blocks' sector bitmaps are all
// ones. Nothing is read by it; Validate checks it, and that no block lies on it.
//
// Written: Dynamic and Fixed, with the exact size of the source as current size.
//
// Read: fixed and dynamic, and differencing with all of its parents. In dynamic
// disks the sector bitmaps are ignored. Refused: differencing disks by
// themselves, disks of a machine in saved state, footers that do not fit file,
// table or each other.
package vhd
