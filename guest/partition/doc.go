// Package partition reads the partition table of a disk: GPT with both of its
// headers, MBR with its logical partitions, and hybrids of the two.
//
// Specifications: UEFI 2.10, section 5 (GPT, protective MBR); the MBR has none,
// and is read as Linux reads it.
//
// A table is never a reason to refuse: what is wrong with it becomes findings, and
// the partitions that can be told are told. An error means that the disk could not
// be read. Memory is bounded by MaxTable whatever the disk says.
//
// The words: a sector is the unit of the table's addresses (LBA), 512 or 4096
// bytes; the primary GPT lies at the begin of the disk and the backup at its end; the
// protective MBR is one whose only entry, of type 0xEE, covers a disk with a GPT; a
// hybrid MBR has others beside it. A logical partition lies in an extended one,
// described by a chain of extended boot records (EBR).
package partition
