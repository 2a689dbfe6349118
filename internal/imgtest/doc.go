// Package imgtest makes disks for tests and asks qemu-img about them.
//
// A Disk is a model of a guest's disk: a list of runs, each a hole, stored
// zeros, text that compresses or noise that does not. Its bytes are a function
// of seed and offset, so that a disk of many GiB costs nothing until a run of
// data is read. The same seed gives the same disk on every machine.
//
// A Disk is itself a formats.Disk, so it can be the source of an encoder; a
// File (WriteRaw, OpenFile) is the same bytes as a sparse file, with its holes.
// qemu-img is the oracle: QemuImg, Create and Convert run it and fail the test
// loudly when it is absent, unless INGEST_SKIP_QEMU is set in the environment.
package imgtest
