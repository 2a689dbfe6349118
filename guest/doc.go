// Package guest says what is inside a virtual disk: its partition table, its file
// systems, how a machine boots from it, and which operating system that is.
//
// Facts are told, never judged: nothing here refuses an image. What is odd is a
// finding, and what could not be looked at is a finding too ("not inspected"). An
// error means that the disk's bytes could not be read.
//
// Below it, partition and filesystem are parsers with bounds of their own; listing
// reads trees of files with a library that is not trusted, in the process that child
// starts and confines; tree is the language between the two. This package knows child
// only as a Lister.
//
// A volume is a partition, or the whole disk (number 0) if it has no partitions, or
// if it is an ISO 9660 image with a partition table in its first sectors.
package guest
