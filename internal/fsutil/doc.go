// Package fsutil holds the few Linux file operations that the file store and
// the file source have in common: durable writes, folder syncs, advisory locks,
// renames that never replace, and the map of a sparse file's data.
//
// Durable means: survives a loss of power. A file's bytes are durable after
// fsync(2) or fdatasync(2) of the file; its name is durable after fsync(2) of
// the folder that holds it. A rename is atomic, but durable only after the
// fsync of both folders.
package fsutil
