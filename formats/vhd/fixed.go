package vhd

import (
	"context"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/errcode"
)

// fixed is a fixed disk: a raw one with a footer behind it.
type fixed struct {
	formats.Disk
	info formats.Info
}

var (
	_ formats.Disk      = (*fixed)(nil)
	_ formats.Validator = (*fixed)(nil)
)

// openFixed opens a disk whose only footer is the last one.
func openFixed(r io.ReaderAt, size int64, lim formats.Limits, end []byte, chain bool) (*image, error) {
	f, err := decodeFooter(end, size-int64(len(end)), "footer")
	if err != nil {
		return nil, err
	}
	if err := f.check(lim, chain); err != nil {
		return nil, err
	}
	if f.diskType != typeFixed {
		return nil, place{"footer copy", "magic", 0}.refuse(errcode.VHDHeader, nil, footerMagic, "a %s disk begins with a copy of its footer, this file does not", subformat(f.diskType))
	}
	if want := int64(f.currentSize) + f.len; want != size {
		return nil, f.refuse(errcode.VHDSizeMismatch, "current size", 48, f.currentSize, fmt.Sprint(size-f.len),
			"a fixed disk of %d bytes makes a file of %d, this one has %d", f.currentSize, want, size)
	}
	disk := raw.New(r, int64(f.currentSize))
	info := f.info(size)
	info.HolesKnown = disk.Info().HolesKnown
	return &image{footer: f, disk: &fixed{disk, info}}, nil
}

func (d *fixed) Info() formats.Info { return d.info }

// Validate has nothing left to check: the footer was proved to fit the file.
func (d *fixed) Validate(context.Context) ([]formats.Finding, error) { return d.info.Findings, nil }
