// Package qcow2 reads and writes qcow2 images, versions 2 and 3, after the
// specification docs/interop/qcow2.txt of QEMU.
//
// The words: the file is made of clusters of 512 bytes to 2 MiB. The L1 table
// has one entry for each L2 table; an L2 table fills one cluster and has one
// entry for each guest cluster: where in the file its bytes are (a plain
// cluster), where their compressed form is and how many 512-byte sectors it
// touches (a compressed cluster), that it reads as zeros, or nothing (a hole).
// With extended L2 entries a cluster has 32 subclusters, each stored, zero or a
// hole of its own. The refcount table and its refcount blocks count for each
// host cluster who refers to it; a reader does without them.
//
// Read: plain, deflate and zstd clusters, extended L2 entries, zero clusters,
// any cluster size, the active state of an image with internal snapshots, and
// images that were not closed cleanly. The header of an image with a backing
// file, a data file, encryption or the corrupt mark can be inspected; its data
// are refused (Info().Unreadable). Not read at all: snapshots, dirty bitmaps,
// versions other than 2 and 3, unknown incompatible features.
//
// What the guest sees is decided here: the header, the L1 and the L2 tables are
// parsed and checked by this package, and it alone says where data lie and
// where zeros. The stored bytes themselves come through a clusterReader, which
// today is the package library (docs/adr/0005-qcow2-behind-a-guard.md).
//
// Written are version 3 images with 16-bit refcounts, without extensions. The
// Encoder writes plain or compressed clusters in one forward pass; the Planner
// lays an uncompressed image out from the extents alone.
package qcow2
