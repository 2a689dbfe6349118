// Package fs keeps images as files below one folder, and writes single files
// for the command line.
//
// The tree of a store:
//
//	DIR/
//	  objects/                            flock: one commit or delete at a time
//	    <image>/
//	      <upload>                        the bytes of a committed object
//	      <upload>.json                   its record: digest, time, upload id
//	  uploads/
//	    <image>.<upload>.<random>/        one upload; the name is its id. flock: one change at a time
//	      data                            its bytes, sparse
//	      manifest.json                   generation, note, sealed size
//	      mark.json                       a note for this boot of this host
//	      manifest.json.tmp, record.tmp   half-written, of no value
//	      mark.json.tmp
//
// <image> and <upload> are the two UUIDs of the key. An object is visible when
// its data file stands under objects; the record is put there first. A record
// without data is not an object.
//
// What is durable when:
//
//   - Checkpoint: fdatasync of data, then the manifest (write, fsync, rename,
//     fsync of the folder). A note that is found vouches for its bytes.
//   - Mark: nothing. The mark is written and renamed, and stands in the page cache
//     as the data does. It names the boot of the host and the data's inode, and is
//     believed where both are the same and its serial is above the manifest's.
//   - Seal: truncate, fsync of data, then the manifest with the sealed size.
//   - Commit: the record, then one rename of data, then fsync of both folders,
//     then the upload's folder is removed. Stopped between any two of these
//     steps, it is finished by Resume and Commit, or undone by Resume and Abort
//     as long as the data has not been renamed.
//
// A store in several folders (OpenSeveral) is that tree in each of them. Commits
// exclude each other over all folders by a flock on one folder's uploads.
//
// Fencing: Resume raises the generation in the manifest under the folder's
// lock, and every later change compares it under the same lock, so that two
// handles exclude each other within a process and between processes. If an
// fsync fails, the handle is of no use any more: the kernel may have dropped
// the pages and would report success the next time (fsync(2), ERRORS).
package fs
