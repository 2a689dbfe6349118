// Package docker checks container images that are kept as they are: a tar file as
// `docker save` and skopeo's docker-archive write it, or an image layout of the Open
// Container Initiative in a tar file.
//
// The words: a layer is a tar file with files of the container's root file system;
// the manifest names an image's configuration and layers; a blob is a file named by
// its digest.
//
// Nothing is taken out. What is checked is that no program that loads the image is
// led out of its folder, filled up or shown another image: names, links, kinds and
// numbers of members, that the manifest's files are there, the digests of blobs, and
// in the layers the names and sizes of their members. Links and devices in layers
// are what root file systems are made of.
//
// Layouts: manifest.json (Docker Image Specification 1.2, "Combined Image JSON +
// Filesystem Changeset Format"); repositories (the same, version 1); index.json with
// oci-layout (OCI Image Format Specification 1.1, "OCI Image Layout").
package docker
