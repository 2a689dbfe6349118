// Package gce writes and reads the files from which Google Compute Engine makes
// images: a tar file with the one member disk.raw, compressed with gzip.
//
// What Google asks for ("Manually import boot disks",
// https://cloud.google.com/compute/docs/import/import-existing-image):
//
//   - the disk's file is named disk.raw;
//   - its size is a multiple of 1 GB, such as 10 GB or 11 GB but not 10.5 GB,
//     where a GB has 2^30 bytes;
//   - the file is a .tar.gz that `tar --format=oldgnu -Sczf` makes: gzip, the old
//     GNU format, sparse.
//
// The tar format is that of the GNU tar manual, "Basic Tar Format", with "Old GNU
// Format" of "Storing Sparse Files": header and sparse map precede the data, which
// are the runs of the map one after the other. gzip is RFC 1952, deflate RFC 1951.
package gce
