// Package vdi reads and writes VirtualBox's VDI disks.
//
// The format has no public specification; the words and the meaning of each
// field are those of VirtualBox's own sources (VDICore.h) and of qemu's driver.
// A pre-header of 72 bytes (a line of text, the signature 0xBEDA107F, the
// version) is followed by the header, 384 bytes in older files and 400 in newer
// ones, which add a geometry. The guest's bytes lie in blocks, 1 MiB each as a
// rule. The block map (bmap) has 4 bytes for each block of the guest: the
// number of the place in the data area where it is stored, 0xFFFFFFFF for a
// block that was never written, 0xFFFFFFFE for one that is zeros. A place is as
// long as a block and the block extra, which precedes the block's data. All
// numbers are little endian.
//
// The virtual size is the disk size in the header, to the byte. VirtualBox can
// make a disk whose size is not a multiple of 512 (`VBoxManage convertfromraw`);
// qemu shows its guest up to 511 bytes more, ingest exactly the size, and a
// finding says so.
//
// A static image has a place for every block; where its file is sparse and its
// reader knows the holes, they are holes of the disk.
//
// No writer is known that leaves the last block of a file short: a block must
// lie in the file as far as the virtual size covers it.
//
// Written: Dynamic, with blocks of 1 MiB.
//
// Read: version 1.1, dynamic and static (fixed) images, blocks of 4 KiB to
// 256 MiB. Refused: differencing and undo images, and images that name a
// parent; tables and blocks outside the file, blocks that share a place.
package vdi
