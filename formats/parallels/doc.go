// Package parallels reads the expandable disks of Parallels Desktop, Virtuozzo
// and OpenVZ, which Glance calls ploop.
//
// The words are those of the "Parallels Expandable Image File Format" in qemu's
// documentation (docs/interop/parallels). A header of 64 bytes is followed by
// the block allocation table (BAT) and the data area. The guest's bytes lie in
// clusters, 1 MiB each as a rule; the header's field tracks has their size in
// sectors. A BAT entry says where its cluster is, 0 for one that was never
// written. There are two versions: in v1 (magic WithoutFreeSpace) entries count
// sectors, in v2 (magic WithouFreSpacExt) clusters. All numbers are little
// endian.
//
// The header marks an image that is open for writing as in use; it is read, and
// a finding says that it was not closed cleanly. The empty image bit says that
// no cluster was ever written. ploop clears it only at closing or syncing, so
// it counts for nothing in an image in use; in a closed one a cluster under it
// is a contradiction and refused. The format extension, one cluster at ext_off
// that holds dirty bitmaps, is bounded and otherwise ignored, and a finding
// says that it is there.
//
// No writer is known that leaves the last cluster of a file short: a cluster
// must lie in the file as far as the virtual size covers it.
//
// Read: both versions, clusters of a sector to 1 GiB. Refused: tables and
// clusters outside the file or off the grid of the data area, clusters that
// share a place. Not seen: that a file is a delta. Only the disk's descriptor
// (DiskDescriptor.xml) tells, and it is another file.
package parallels
