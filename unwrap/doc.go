// Package unwrap takes outer layers off a disk image: one compression (gzip, xz,
// zstd, bzip2, or the deflate of a zip with one member), one archive (tar, OVA,
// zip). What comes out is bounded before it is handed on, and nothing is ever
// written to a name that the bytes contain.
//
// The words: a layer is a compression around the source's bytes; Open gives its
// contents as a forward Reader. An archive holds members; OpenArchive finds those
// that are disks, each a section of the archive, without a copy. A bomb is a file
// that stands for far more bytes than an honest one.
//
// Formats and their specifications:
//
//   - gzip: RFC 1952, deflate: RFC 1951; several members one after the other, as
//     pigz and `cat` make them;
//   - zstd: RFC 8878; several frames and skippable ones, as pzstd makes them;
//   - xz: The .xz File Format 1.2.1 (tukaani.org); several blocks and streams, as
//     `xz -T` makes them, with the filter LZMA2 alone;
//   - bzip2: several streams, as pbzip2 makes them;
//   - tar, zip: package archive; container images: package docker; OVF: package ovf; Compute Engine's tar.gz:
//     package formats/gce.
//
// Not read: 7z, lz4, lzip, LZMA alone, encrypted zip, dictionaries of zstd, filters
// of xz other than LZMA2.
package unwrap
