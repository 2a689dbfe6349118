// Package qcow2 reads and writes qcow2 images, versions 2 and 3, after the
// specification docs/interop/qcow2.txt of QEMU (.rst in its later releases). The
// sections named below are its own.
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
// Read, with the sections that say how:
//
//   - versions 2 and 3, clusters of 2^9 to 2^21 bytes ("Header");
//   - plain, zero and unallocated clusters ("Cluster mapping"), and subclusters
//     ("Extended L2 Entries", clusters from 2^14 bytes);
//   - clusters compressed with deflate, a raw stream, or with zstd, one frame
//     each ("Compressed Clusters Descriptor", compression_type in "Header");
//   - the active state of an image with internal snapshots; the snapshots are
//     counted and their table's bounds checked ("Snapshots"), no more;
//   - images that were not closed cleanly (the dirty bit), lazy refcounts, and
//     any refcount width;
//   - a file whose last cluster is cut short: the rest of it reads as zeros.
//
// Only inspected, the data refused (Info().Unreadable): images with a backing
// file, an external data file, encryption (AES or LUKS), or the corrupt mark.
// Ignored: dirty bitmaps ("Bitmaps extension"), the feature name table, and
// unknown compatible or autoclear features. Refused: other versions, unknown
// incompatible features, unknown compression types.
//
// A read takes these steps. Disk.ReadAt cuts the range into runs with the help
// of the L2 tables, of which some are kept; holes and zeros end there.
// A clusterReader brings the stored bytes of a run. Format's is the dataReader:
// a plain run is one read into the caller's buffer, over the borders of L2
// tables too; a compressed run is one read of all its compressed bytes if they
// lie close together, and each whole cluster is inflated into the caller's
// buffer. A cluster that is wanted in part is inflated into a cache of a few
// (clusterCache), so that small reads do not inflate it again. A caller that
// inflates by itself, or passes compressed clusters on, asks for them as they are
// stored (formats.PackedReader).
//
// Witness is the same format read through go-qcow2reader (package library),
// behind the same checks: what ingest writes is read back through it, and tests
// hold the two against each other. See docs/adr/0005-qcow2-behind-a-guard.md and
// docs/adr/0007-own-qcow2-reader.md.
//
// Written are version 3 images with 16-bit refcounts, without extensions. The
// Encoder writes plain or compressed clusters in one forward pass; the Planner
// lays an uncompressed image out from the extents alone.
package qcow2
