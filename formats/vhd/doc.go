// Package vhd reads Microsoft's VHD disks (Virtual PC, Hyper-V generation 1,
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
// Read: fixed and dynamic. In dynamic disks the sector bitmaps are ignored: they
// mean something only against a parent. Refused: differencing disks, disks of a
// machine in saved state, footers that do not fit file, table or each other.
package vhd
