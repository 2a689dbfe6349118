package listing

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/ext4"
	"github.com/diskfs/go-diskfs/filesystem/fat12"
	"github.com/diskfs/go-diskfs/filesystem/fat16"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"github.com/diskfs/go-diskfs/filesystem/squashfs"

	kinds "ingest/guest/filesystem"
	"ingest/guest/tree"
)

// errReadOnly answers whatever would write.
var errReadOnly = errors.New("the disk is only read")

// storage is a volume as go-diskfs wants it. It begins at 0, so that no code depends
// on how go-diskfs adds offsets.
type storage struct {
	*io.SectionReader
}

var _ backend.Storage = storage{}

func (s storage) Stat() (fs.FileInfo, error)              { return info{s.Size()}, nil }
func (s storage) Close() error                            { return nil }
func (s storage) Sys() (*os.File, error)                  { return nil, backend.ErrNotSuitable }
func (s storage) Writable() (backend.WritableFile, error) { return nil, errReadOnly }
func (s storage) Path() string                            { return "" }

// info is the volume as a regular file.
type info struct{ size int64 }

func (i info) Name() string       { return "volume" }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o400 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }

// open opens the file system of a volume.
func open(r io.ReaderAt, v tree.Volume) (filesystem.FileSystem, error) {
	s := storage{io.NewSectionReader(r, v.Off, v.Len)}
	switch v.Kind {
	case kinds.Ext4:
		return ext4.Read(s, v.Len, 0, 0)
	case kinds.FAT12:
		return fat12.Read(s, v.Len, 0, 0)
	case kinds.FAT16:
		return fat16.Read(s, v.Len, 0, 0)
	case kinds.FAT32:
		return fat32.Read(s, v.Len, 0, 0)
	case kinds.ISO9660:
		return iso9660.Read(s, v.Len, 0, 0)
	case kinds.Squashfs:
		return squashfs.Read(s, v.Len, 0, 0)
	}
	return nil, fmt.Errorf("%s is not read", v.Kind)
}
