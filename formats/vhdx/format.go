package vhdx

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	fileMagic = "vhdxfile"
	kib       = 1 << 10
	mib       = 1 << 20
	// creatorBytes is the length of the creator, UTF-16, behind the magic.
	creatorBytes = 512
	// maxFileBytes is sixteen times what the largest disk with its tables
	// needs: beyond it a size or offset is nonsense, and below it sums of a
	// few of them do not overflow.
	maxFileBytes = 1 << 50
)

// Format reads VHDX files.
type Format struct{}

var _ formats.SetFormat = Format{}

// Name returns formats.VHDX.
func (Format) Name() formats.Name { return formats.VHDX }

// Match looks for the file type identifier. What kind of disk it is says only
// the metadata, which lie beyond the head.
func (Format) Match(head, _ []byte, _ int64) formats.Match {
	if !strings.HasPrefix(string(head[:min(8, len(head))]), fileMagic) {
		return formats.Match{}
	}
	return formats.Match{OK: true, Value: fileMagic}
}

// Open parses and checks headers, log, region table and metadata, and replays
// the log in memory if there is one. The BAT is read when it is needed.
func (Format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	f, err := openFile(r, size, maxLogBytes, lim)
	if err != nil {
		return nil, err
	}
	return newDisk(f, lim)
}

// A file is a VHDX of which everything but the BAT has been read.
type file struct {
	creator  string
	header   *header
	img      *image
	regions  *regions
	meta     *metadata
	findings []formats.Finding
	parent   bool // of another file, which says what holds for both
}

// openFile reads and checks a file whose log, if it has to be replayed, has at
// most maxLog bytes.
func openFile(r io.ReaderAt, size, maxLog int64, lim formats.Limits) (*file, error) {
	f := &file{}
	var err error
	if f.creator, err = readIdentifier(r, size); err != nil {
		return nil, err
	}
	if f.header, err = readHeader(r, size); err != nil {
		return nil, err
	}
	if f.img, f.findings, err = replay(r, size, f.header, maxLog, lim); err != nil {
		return nil, err
	}
	var notes []formats.Finding
	if f.regions, notes, err = readRegions(f.img, f.header); err != nil {
		return nil, err
	}
	f.findings = append(f.findings, notes...)
	f.meta, err = readMetadata(f.img, f.regions.metadata, lim)
	return f, err
}

// readIdentifier checks the magic and returns the creator (2.2.1).
func readIdentifier(r io.ReaderAt, size int64) (string, error) {
	where := place{"file type identifier", "signature", 0}
	head := make([]byte, max(0, min(size, int64(len(fileMagic)+creatorBytes))))
	if err := binio.ReadFull(r, head, 0); err != nil {
		return "", where.unread(err)
	}
	if !strings.HasPrefix(string(head), fileMagic) {
		return "", where.refuse(errcode.FormatMismatch, fmt.Sprintf("%q", head[:min(8, len(head))]), fileMagic, "the file is not a VHDX")
	}
	if size < mib {
		return "", where.refuse(errcode.Truncated, size, fmt.Sprint(mib), "the file ends within its header section")
	}
	if size > maxFileBytes {
		return "", place{"file", "size", -1}.refuse(errcode.ParserLimit, size, fmt.Sprint(int64(maxFileBytes)), "a file of %d bytes", size)
	}
	return text(head[len(fileMagic):]), nil
}

// text decodes UTF-16 up to the first NUL; what is not printable becomes a
// question mark.
func text(p []byte) string {
	var units []uint16
	for ; len(p) >= 2; p = p[2:] {
		u := uint16(p[0]) | uint16(p[1])<<8
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(utf16.Decode(units)))
}
