// Package detect says which disk format a file is of and whether it is safe to
// read, before anything in it is believed.
//
// A format is recognised by its magic: fixed bytes at a fixed offset. Most stand
// at the begin of a file (its head), but a fixed VHD, a DMG and a zip archive are
// known by their last bytes (their tail) only. Each magic that is found is a
// claim. The detector collects the claims of every format that can be read and
// of those that are known only to be refused (QED, VHDX, DMG, gzip, ...), and
// then decides:
//
//   - Two claims of different formats are a polyglot: a file that two programs
//     would read as two different disks (CVE-2024-40767 and its relatives). It is
//     refused. So is a claim in the head together with a boot sector there.
//     Allowed are an ISO 9660 image with a partition table (an isohybrid) and a
//     partition table within a format that is known by its tail.
//   - A backup GPT in the last sector is no claim: every disk with a GPT ends with
//     one, and so do many containers, whose last block is the disk's last.
//   - A declared format is a claim to check, raw included.
//   - A file that is declared as ami, aki or ari is one, if no other format's magic
//     contradicts: these have none of their own. A kernel and a ramdisk may be
//     compressed.
//   - Without any claim the file is raw: its bytes are the disk's bytes. Partition
//     tables and file systems are not formats, they are told as contents.
//   - An ISO 9660 or UDF image is its own disk format (iso) and is read as raw.
//
// A file that is still being sent is judged by Head: where the first bytes
// decide, it is refused before the rest has come.
//
// An outer layer is a compressed file or an archive around an image. Layers are
// recognised and refused here; taking them off is another package's work.
//
// The magics and their places come from: qemu docs/interop/qcow2.txt, qed_spec
// and parallels.txt; VMware "Virtual Disk Format 5.0"; Microsoft "Virtual Hard
// Disk Image Format Specification" 1.0 and [MS-VHDX] 2.2.1; ECMA-119 6.7 and
// ECMA-167 2/9.1.2 (volume recognition); UEFI 2.10 section 5 (MBR and GPT); LUKS2
// On-Disk Format 2.1; POSIX.1 pax (ustar); RFC 1952 and RFC 8878; .ZIP File Format
// Specification 4.3.
package detect
