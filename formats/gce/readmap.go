package gce

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// What the reader knows of the format, apart from the writer.
const (
	tarBlock  = 512
	endBytes  = 2 * tarBlock
	sparseLen = 24
)

// readMap reads the map of a member from the blocks of its header. archive/tar has
// read the same ones, found them sound, and says nothing of the map.
func readMap(p []byte, h *tar.Header) (sparseMap, error) {
	where := place("tar header", "name")
	if h.Name != "disk.raw" {
		return sparseMap{}, where.Refuse(errcode.FormatMismatch, clip(h.Name), "disk.raw", "the first member is %q", clip(h.Name))
	}
	switch {
	case h.Typeflag == tar.TypeReg && len(p) == tarBlock:
		if h.Size == 0 {
			return sparseMap{}, nil
		}
		return sparseMap{size: h.Size, runs: []run{{0, h.Size}}}, nil
	case h.Typeflag != tar.TypeGNUSparse || p[156] != 'S':
		where.Field = "typeflag"
		return sparseMap{}, where.Refuse(errcode.FormatMismatch, strconv.QuoteRune(rune(h.Typeflag)), "S or 0", "disk.raw is not a sparse file of the old GNU format")
	}
	size, err := number(p[483:495])
	if err != nil || size != h.Size {
		return sparseMap{}, damaged("realsize", size)
	}
	m := sparseMap{size: size}
	if err := m.read(p); err != nil {
		return m, err
	}
	if stored, err := number(p[124:136]); err != nil || stored != m.stored() {
		return m, damaged("size", stored)
	}
	return m, nil
}

// read reads the entries from the header and the blocks behind it.
func (m *sparseMap) read(p []byte) error {
	if err := m.entriesOf(p[386:482]); err != nil {
		return err
	}
	extended := p[482]
	for p = p[tarBlock:]; extended != 0; p = p[tarBlock:] {
		if len(p) < tarBlock {
			return damaged("isextended", extended)
		}
		if err := m.entriesOf(p[:504]); err != nil {
			return err
		}
		extended = p[504]
	}
	if len(p) != 0 {
		return damaged("isextended", extended)
	}
	return nil
}

// entriesOf reads the entries of one block. An entry that begins with a zero byte
// ends them. Entries ascend, and empty ones stand for nothing.
func (m *sparseMap) entriesOf(p []byte) error {
	for ; len(p) >= sparseLen && p[0] != 0; p = p[sparseLen:] {
		off, err := number(p[:12])
		if err != nil {
			return damaged("offset", clip(string(p[:12])))
		}
		n, err := number(p[12:24])
		if err != nil || n > m.size-off {
			return damaged("numbytes", clip(string(p[12:24])))
		}
		if k := len(m.runs); k > 0 && off < m.runs[k-1].end {
			return damaged("offset", off)
		}
		if n > 0 {
			m.runs = append(m.runs, run{off, off + n})
		}
	}
	return nil
}

// number reads a field: octal digits, or base-256 with the first bit set.
func number(p []byte) (int64, error) {
	if p[0]&0x80 == 0 {
		n, err := strconv.ParseUint(strings.Trim(string(p), " \x00"), 8, 63)
		return int64(n), err
	}
	for _, c := range p[1:4] {
		if c != 0 {
			return 0, binio.ErrOverflow
		}
	}
	n := binary.BigEndian.Uint64(p[4:])
	if p[0] != 0x80 || n > math.MaxInt64 {
		return 0, binio.ErrOverflow
	}
	return int64(n), nil
}

// damaged is the error of a map that cannot be right.
func damaged(field string, value any) error {
	return place("sparse map", field).Refuse(errcode.TableBounds, fmt.Sprint(value), "", "the sparse map contradicts itself in %s", field)
}

// clip keeps a value short enough for a message.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "?") }
