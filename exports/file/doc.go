// Package file exports into files below folders that the operator names.
//
// The bytes are collected in a hidden file beside the destination, named
// .<name>.export-<task>, with a note of how far it is in .<name>.export-<task>.note.
// The commit renames it: the destination is whole or not there. Names are followed
// within the root only, whatever symbolic links there are.
package file
