// Package ova writes and reads OVA files: a virtual machine in one tar file, with
// an OVF descriptor, its disks and a manifest.
//
// The specification is DMTF's DSP0243, "Open Virtualization Format Specification",
// in version 1.1, which VMware's and VirtualBox's programs import and later
// versions still read. What it asks of an OVA ("OVF Package Structure",
// "Distribution as a Single File"):
//
//   - the tar file is of the format ustar of POSIX (IEEE 1003.1), and its members
//     are in this order: descriptor, files in the order of the descriptor's
//     References, and at the end the manifest. Manifest and certificate may stand
//     behind the descriptor instead. VMware's programs insist that the descriptor
//     is first (https://github.com/osbuild/image-builder/issues/431);
//   - the manifest has the descriptor's name with .mf, and a line
//     SHA256(file)= digest for each other file, without a space before the
//     parenthesis, at which ESXi stumbles. Version 2.0 brought SHA-256, and ovftool
//     writes it since its version 4.2; older products of VMware know SHA-1 only
//     (https://github.com/turnkeylinux/tracker/issues/827).
//
// A ustar header counts up to 8 GiB. Larger disks have their size in base-256, as
// GNU tar writes it and every current reader understands.
package ova
