// Package http is a store that is read from a web server: what somebody else has put
// there, such as a mirror of a folder store's objects. The object of a key lies at the
// base URL, a slash and the key.
//
// It is read-only: nothing is begun there, and what is deleted is only forgotten. An
// object is pinned to one version by the look at it, Stat or the first read: its length
// and validator (ETag, or date). Later reads are of that version or fail, and a failed
// one makes the next look afresh, so that two versions are never joined. Whether the
// bytes are the right ones is not known here: whoever names a place in such a store
// reads it against the image's digest first.
//
// The client is that of the sources, made by whoever opens the store: it reaches the
// host of the base URL and follows no redirect to another.
package http
