package formats

import "io"

// A Member is another file of an image: an extent file of a VMDK, the parent of
// a differencing disk. Members come from the caller and from nowhere else:
// what an image names is looked up among them, by its base name or its
// identifier, and is never opened as a path.
type Member struct {
	Name string // base name, without any folder
	R    io.ReaderAt
	Size int64 // bytes
}

// A SetFormat is a Format that can read images of several files.
type SetFormat interface {
	Format
	// OpenSet is Open for an image whose other files the caller has given.
	// A member that is missing, or that does not belong to the image, refuses
	// it; members that nothing names do too, since the caller meant
	// something by them. Without members it is Open.
	OpenSet(r io.ReaderAt, size int64, members []Member, lim Limits) (Disk, error)
}
