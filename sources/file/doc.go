// Package file reads images from the server's own file systems, and only below
// the folders that the operator names.
//
// A reference is a path (/srv/images/a.qcow2), a path relative to one of the
// roots (a.qcow2) or a file URL (file:///srv/images/a.qcow2). Every path is
// resolved by the kernel one component at a time from the root (os.Root), so
// that neither ".." nor a symbolic link leads out of it; an absolute symbolic
// link counts as leading out. With the root "/", as the command line uses it,
// there is no outside and all links are followed.
//
// Only regular files are opened, and never in a way that waits for a writer.
// The version of a file is its modification time, size and inode. Holes are
// told to the reader.
package file
