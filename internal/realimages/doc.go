// Package realimages holds tests of the whole data path against what ingest and
// qemu-img have not made: images from Debian packages, and images that name a
// file of the host.
//
// A real image is the file of a package: grub-mkrescue, xorriso and isolinux
// made the ISO images, a forensics laboratory the raw disk with many partitions,
// and Linux boot loaders the kernels. scripts/setup installs them.
//
// A canary is a readable file of the host with content that stands nowhere else.
// An image that names it (as backing file, data file, extent or parent) would
// have a program that follows the name copy the host's file into a guest's disk
// (CVE-2015-5163, CVE-2022-47951, CVE-2024-32498). The tests watch the program's
// system calls: it must not even try to open the canary.
package realimages
