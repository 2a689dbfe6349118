// Package listing reads trees of files with go-diskfs: ext4, FAT, ISO 9660, squashfs.
//
// It runs in the child process of package child only. go-diskfs trusts what it reads:
// a crafted file system makes it panic, loop for ever or ask for more memory than
// there is, none of which recover catches all of. So nothing here is careful about
// time or memory beyond what costs nothing; the process is limited, and its end is
// foreseen.
package listing
