// Package archive reads tar and zip files that hold disk images. Members are found
// and not extracted: each is a section of the archive, and its name is compared and
// shown but never a path.
//
// A tar file is read as POSIX.1-2017 ("pax", "ustar Interchange Format", "pax
// Interchange Format") and the GNU tar manual ("Basic Tar Format") describe it, a
// zip file as PKWARE's APPNOTE 6.3.10 does. Both are read strictly: every byte of
// the file belongs to a member or to the structure, and where two programs could
// see two different archives it is refused.
//
// Not read: links, devices, folders (but "./"), sparse members, global extended
// headers, zip files with more than one member, with a comment, with a password, in
// pieces, or compressed with anything but deflate.
package archive
