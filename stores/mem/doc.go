// Package mem keeps images in memory, for tests and for trying things out. It
// has the whole life of an upload, fencing included, and forgets everything
// with the process. Bytes are kept in pages of 64 KiB that exist once they are
// written, so that a disk of terabytes costs what its data takes.
package mem
