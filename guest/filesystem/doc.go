// Package filesystem recognises what a volume holds by its superblock: file systems,
// swap, encrypted volumes, physical volumes of LVM2, members of RAID and ZFS pools.
// It reads no directory and no file.
//
// Specifications and references: ext4 "Disk Layout" of the Linux kernel's
// documentation; XFS "Algorithms & Data Structures"; btrfs "On-disk format";
// ECMA-119 (ISO 9660) and El Torito 1.0; Microsoft "FAT: General Overview of On-Disk
// Format" 1.03 and "exFAT file system specification"; squashfs 4.0; LUKS1 1.2.3 and
// LUKS2 on-disk formats; the NTFS documentation of the Linux-NTFS project; the LVM2,
// md and ZFS label layouts as their tools write them.
//
// Every offset that a superblock names is checked before it is read, and every read
// has a constant size. What is odd becomes a finding; an error means that the disk
// could not be read.
//
// A volume is a partition, or a disk without partitions. Offsets here are within the
// volume.
package filesystem
