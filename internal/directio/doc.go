// Package directio reads and writes the large runs of a file past the page
// cache.
//
// A converted image is written once and read back once. Through the page cache
// every byte of it is copied into a page that must be found first, pushes out what
// others have use for, and is written back later by somebody else's time. On a
// virtual machine whose memory is given back to its host when it is free, finding
// a page alone costs more than inflating what goes into it. Past the cache the
// disk takes the bytes from where they are.
//
// Whole blocks go past the cache, in runs of at least MinRun; the rest, and all of
// it where the file system has no such way (tmpfs), goes through the cache. The two
// can be mixed on one file: the kernel keeps them coherent, and no block is
// written both ways at once, because a block that is written in part always goes
// through the cache.
//
// What is in the cache already is read from it.
package directio
