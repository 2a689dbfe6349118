// Package readahead makes an io.ReaderAt of a function that fetches a range,
// where each call costs a round trip: HTTP ranges, object stores.
//
// The source is cut into chunks at multiples of the chunk size. A read that is
// smaller than a chunk fetches whole chunks and keeps them, the last used the
// longest, within a bound of memory; two reads of one chunk share one fetch. A
// read of more than a chunk is one fetch of its own, straight into the caller's
// buffer, unless it follows another. When reads follow each other, as they do when
// a table or a disk is walked, the next chunks are fetched beside them, at first one
// and then more: as many as it takes that the reader does not wait, so that latency
// costs a sequence of reads nothing but its begin.
package readahead
