// Package boottest holds disks that test themselves: a PC boots from one, and
// the program in its boot sector reads sectors all over the disk through the
// BIOS, checks them, and says over the serial port whether they are right. The
// witness is QEMU's emulation of a PC with its own block drivers, without KVM.
//
// The disk, in sectors of 512 bytes:
//
//	0       boot sector: program, 55 AA
//	1       table: count, entries (LBA, zero flag), checksum
//	others  markers: their own LBA, noise, checksum
//	        between them: noise, text, stored zeros and holes
//
// An entry of the table names a marker or, with its zero flag, a sector that
// must read as zeros. The checksum of a sector is the last of its 128 words of
// 32 bits, chosen so that the sum over all of them, each time rotated left by
// one bit before the next word is added, is zero.
//
// The slow tests boot real systems after conversion: GRUB and iPXE from images
// of Debian packages, and a Linux from its own ext4 file system, of which it
// reads a file and holds it against its digest. They run with INGEST_SLOW=1, and
// `scripts/setup slow` brings what they need.
package boottest
