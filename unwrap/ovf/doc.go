// Package ovf reads OVA files: a virtual machine in one tar file, described by an
// OVF descriptor, with a manifest of digests.
//
// The specification is DMTF's DSP0243, "Open Virtualization Format Specification",
// in versions 1.1 and 2.1 (ISO/IEC 17203), with the elements that VMware and
// VirtualBox add. Its words: References lists the package's files, each with an
// href; DiskSection lists disks, each with a file and a capacity; a VirtualSystem
// is a machine, whose items are virtual devices.
//
// Nothing is opened that the archive does not itself hold: an href is compared
// with the members' names. What the descriptor says reaches the outside only as
// numbers, as words of a fixed vocabulary, or as a printable name of bounded length.
//
// Refused: several machines in one package, deltas, files in pieces or compressed,
// and members that nothing names.
package ovf
