// Package cache keeps copies of remote objects in a local folder, so that an image
// that is downloaded often is read from its store once.
//
// An object is an entry once its record is written; before that it is a fill.
// A fill reads the object from its store at the store's pace, writes it to a file
// and takes its digest. Readers of an object that is being filled share the fill:
// they read what the file has, wait for more, and get the last bytes only when the
// digest is right. What goes wrong with a fill or an entry never fails a reader:
// it goes on from the store, at the byte where it stands. The one exception is a
// fill with another digest than the catalogue's, whose readers are cut short.
//
// The folder:
//
//	lock              held by the process that uses the folder
//	index/ID.json     a record: the entry exists if and only if this does
//	data/ID.RANDOM    the bytes; without a record that names it, of no value
//	queue/ID.json     an object that is to be fetched in the background
//	usage.json        hits and moments of access, for the order of pruning
//
// ID is the SHA-256 of store and key. Keys are never used twice, so that an entry
// cannot be stale. A record is written after its bytes are durable, and removed
// before them: whenever the process is killed, what is found again is right.
// Everything else is removed when the folder is opened.
package cache
