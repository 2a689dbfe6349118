// Package library reads the guest bytes of a qcow2 image through
// github.com/lima-vm/go-qcow2reader, behind a guard. It is the one package that
// imports it, and serves qcow2.Witness: a second way to the bytes of an image.
//
// That module is correct about honest images and careless about hostile ones:
// it opens any file that a header names, allocates whatever a header asks for,
// hands out bytes beyond the virtual size, inflates a compressed cluster again
// for every piece that is read of it, and can panic. The guard takes each of
// these away:
//
//   - The module never sees the image's header. It is handed a reader, the
//     mask, that serves a header written here from fields that the caller has
//     checked, and zeros for the rest of the first cluster: there is no backing
//     file, no data file and no header extension in it.
//   - The mask has no Name method and no Close method, so that the module
//     cannot resolve a path against it nor close it.
//   - The decompressors registered here inflate one whole cluster, at most
//     2 MiB, from exactly the bytes that its L2 entry describes. Output that is
//     short of a cluster is IMG_COMPRESSION_CORRUPT.
//   - Only the rest of the file's last cluster reads as zeros past its end; any
//     other read there is IMG_TRUNCATED.
//   - A panic becomes IMG_PARSER_CRASH.
//
// The caller vouches for the tables: it asks only for guest bytes whose L1 and
// L2 entries it has checked itself.
package library
