// Package replicate keeps two image services in step, each a Glance or an ingest, through
// their API v2 alone.
//
// An image is the same in both if it has the same id. Its bytes never change there, so
// that they are copied once: the replica is made with the source's id, and its bytes must
// have the digest that the source keeps. What a person can change of an image (name, tags,
// properties, visibility, minimums, hidden, protected) is compared and brought in line.
//
// A dump is a folder with two files an image: ID.json, what the source says of it, and
// ID.img, its bytes. Bytes that are still fetched stand in ID.part, and are gone on with.
package replicate
