// Package stores says where an image's bytes are kept. A Store holds objects;
// an Upload is an object that nobody sees yet.
//
// The life of an upload: Begin, WriteAt (in any order, again and again with the
// same bytes), Checkpoint from time to time, Seal, Commit. Seal ends the
// writing: the bytes are durable, immutable, and readable through the upload.
// Commit makes them visible under the upload's key. Abort throws them away.
// Close neither seals nor aborts: it lets go, and Resume takes up again, in
// this process or another.
//
// Two attempts at one upload can overlap. Each Resume raises the upload's
// fencing number; an older handle gets errcode.UploadFenced from its next
// Checkpoint, Seal or Commit. What it still writes is harmless, since both
// attempts write the same bytes at the same offsets.
package stores

import (
	"context"
	"io"
	"iter"
	"time"
)

// A Store keeps objects under keys. Keys are made by NewKey, never from input.
type Store interface {
	// Name is the operator's name for the store.
	Name() string
	// Begin starts an upload whose object will be called key. size is the
	// final size in bytes if it is known, else -1; a store that can tell that
	// it has no room for size refuses with errcode.NoSpace, one whose objects
	// are never so large with errcode.ObjectTooLarge.
	Begin(ctx context.Context, key string, size int64) (Upload, error)
	// Resume takes an upload up again, sealed or not, and fences older
	// handles. It returns errcode.UploadUnknown for one that was aborted, or
	// never begun. An upload that was committed is returned as committed.
	Resume(ctx context.Context, id string) (Upload, error)
	// Uploads yields uncommitted uploads that were last touched before the
	// given time, for the reaper. Doubt about an age never yields.
	Uploads(ctx context.Context, before time.Time) iter.Seq2[UploadInfo, error]
	// Stat returns what is known of a committed object, errcode.NotFound if
	// there is none.
	Stat(ctx context.Context, key string) (ObjectInfo, error)
	// OpenRange reads n bytes from off of a committed object; n < 0 reads to
	// the end.
	OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Delete removes a committed object. It is idempotent.
	Delete(ctx context.Context, key string) error
}

// An Upload is an object before its commit. WriteAt is safe for concurrent use;
// bytes that were never written read as zeros once it is sealed.
type Upload interface {
	io.WriterAt
	// ID names the upload for Resume, for as long as it exists.
	ID() string
	// Checkpoint makes all bytes written so far durable, and then the note
	// with them: a note that is found again vouches for its bytes.
	Checkpoint(ctx context.Context, note []byte) error
	// Note returns the last durable note, nil if there is none.
	Note() []byte
	// Seal ends the writing at size bytes. It is idempotent.
	Seal(ctx context.Context, size int64) error
	// Sealed returns the sealed size, ok false if it is not sealed.
	Sealed() (size int64, ok bool)
	// ReaderAt reads the sealed bytes. It is closed by Close. If the store
	// knows the holes, it is a formats.DataFinder too.
	ReaderAt() (io.ReaderAt, error)
	// Commit makes the sealed bytes visible under the key. It is idempotent,
	// also over a crash. want is kept with the object.
	Commit(ctx context.Context, want Digest) error
	// Abort throws the upload away. It is idempotent and does nothing after a
	// commit, so that it can be deferred.
	Abort(ctx context.Context) error
	// Close lets go of the upload and keeps it.
	Close() error
}

// A Digest is what the sealed bytes were found to be.
type Digest struct {
	Algo string `json:"algo"` // "sha256", "sha512"
	Hex  string `json:"hex"`
	Size int64  `json:"size"` // bytes
}

// UploadInfo describes an uncommitted upload.
type UploadInfo struct {
	ID      string    `json:"id"`
	Key     string    `json:"key"`
	Touched time.Time `json:"touched"`
	Bytes   int64     `json:"bytes"` // taken in the store
}

// ObjectInfo describes a committed object.
type ObjectInfo struct {
	Key       string    `json:"key"`
	Size      int64     `json:"size"`      // bytes
	Allocated int64     `json:"allocated"` // bytes really taken, -1 if the store cannot tell
	Digest    Digest    `json:"digest"`
	Committed time.Time `json:"committed"`
}

// Objects is a Store that can list what it holds, for the reaper and for fsck.
type Objects interface {
	Objects(ctx context.Context) iter.Seq2[ObjectInfo, error]
}

// Remains is a Store in which a crash in the middle of a deletion can leave
// something that is no object any more. Delete of its key removes it.
type Remains interface {
	Remains(ctx context.Context) iter.Seq2[ObjectInfo, error]
}

// Space is a Store that can tell how much room it has.
type Space interface {
	// Free returns the bytes that can still be written.
	Free(ctx context.Context) (int64, error)
}

// A Zeroer is an Upload of a store that keeps no holes: what is known to be
// zeros lets it send what lies around them. It is advice, and may be given again,
// by every attempt.
type Zeroer interface {
	// WriteZeros says that the n bytes at off are zeros and will not be written.
	WriteZeros(off, n int64) error
}

// A Marker is an Upload whose notes can outlive the process at no cost, where what
// was written is in the kernel's hands and needs no disk: between two checkpoints, a
// killed process then loses what it has written since the last mark.
type Marker interface {
	// Mark keeps a note for what has been written so far. Unlike one of Checkpoint it
	// is found again on this host until the host itself stops, and then vouches for
	// its bytes; elsewhere and later it is not there. It may run beside a Checkpoint:
	// of the two notes, the one that was begun later counts.
	Mark(ctx context.Context, note []byte) error
}

// A Rereader is an Upload whose bytes can be read while it is written, at no cost
// beside the reading.
type Rereader interface {
	// Written reads what WriteAt has returned for through this handle; what was not
	// written is zeros or, behind the last byte, the end. It is valid until the upload
	// is closed. If the store knows the holes, it is a formats.DataFinder too.
	Written() (io.ReaderAt, error)
}

// NewKey returns the key of one upload of an image. Both are UUIDs, so that a
// second import of the same image never touches the object of the first.
func NewKey(imageID, uploadID string) string { return imageID + "/" + uploadID }
