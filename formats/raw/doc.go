// Package raw reads and lays out raw disks: the guest's bytes and nothing else,
// guest offset and host offset being the same.
//
// A raw disk has no header, so Match never claims one; whoever opens a file as
// raw has decided so. Holes are known only if the reader itself knows them
// (formats.DataFinder), as a sparse file does; over a plain reader the whole
// disk is one extent of data.
package raw
