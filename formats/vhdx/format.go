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

var _ formats.Format = Format{}

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
	creator, err := readIdentifier(r, size)
	if err != nil {
		return nil, err
	}
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	img, findings, err := replay(r, size, h, lim)
	if err != nil {
		return nil, err
	}
	regions, notes, err := readRegions(img, h)
	if err != nil {
		return nil, err
	}
	m, err := readMetadata(img, regions.metadata, lim)
	if err != nil {
		return nil, err
	}
	d, err := newDisk(img, regions, m, lim)
	if err != nil {
		return nil, err
	}
	d.info.Creator = creator
	d.info.Findings = append(append(findings, notes...), d.info.Findings...)
	return d, nil
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
