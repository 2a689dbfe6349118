package qcow2

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"ingest/formats"
	"ingest/internal/errcode"
)

// Fields of L1 and L2 entries; section "Cluster mapping" of the specification.
const (
	entryCopied     = 1 << 63            // refcount is one
	entryCompressed = 1 << 62            // L2 only
	entryZero       = 1 << 0             // L2 without subclusters only
	entryOffset     = 0x00fffffffffffe00 // bits 9 to 55
	entryReserved   = 0x3f000000000001fe // L2, plain cluster
	l1Reserved      = 0x7f000000000001ff
	sectorSize      = 512
)

// A mapping is what an L2 entry says about its cluster.
type mapping struct {
	compressed bool
	host       int64 // host offset of the cluster or of its compressed bytes; 0 if it has none
	length     int64 // compressed only: bytes from host to the end of its last sector
	// stored and zero have one bit for each subcluster; without extended L2
	// entries all bits are alike.
	stored, zero uint32
}

// whole is a bitmap in which all 32 subclusters are alike.
const whole = 1<<32 - 1

// A fault is what is wrong with an entry.
type fault struct {
	code  errcode.Code
	what  string
	limit string
}

// mapper decodes and checks entries of one image.
type mapper struct {
	geometry
	version  uint32
	fileSize int64
}

// l2Table checks an L1 entry and returns the host offset of the L2 table, 0 if
// there is none.
func (m *mapper) l2Table(entry uint64) (int64, *fault) {
	if entry&l1Reserved != 0 {
		return 0, &fault{errcode.TableBounds, "reserved bits are set", hex(entryCopied | entryOffset)}
	}
	off := int64(entry & entryOffset)
	if off == 0 {
		return 0, nil
	}
	return off, m.inFile(off)
}

// inFile checks the host offset of a cluster: it is aligned, does not lie on
// the header and begins inside the file. Only the file's last cluster can be
// partial, so it need not end there.
func (m *mapper) inFile(off int64) *fault {
	if off%m.cluster != 0 || off < m.cluster {
		return &fault{errcode.TableBounds, "host offset is not that of a cluster", fmt.Sprintf("multiple of %d", m.cluster)}
	}
	if off >= m.fileSize {
		return &fault{errcode.Truncated, "host offset is beyond the end of the file", fmt.Sprintf("file of %d bytes", m.fileSize)}
	}
	return nil
}

// decode checks an L2 entry and returns what it says. raw is 8 bytes, 16 with
// extended L2 entries.
func (m *mapper) decode(raw []byte) (mapping, *fault) {
	e := binary.BigEndian.Uint64(raw)
	if e&entryCompressed != 0 {
		return m.decodeCompressed(e)
	}
	if m.extended {
		return m.decodeExtended(e, binary.BigEndian.Uint64(raw[8:]))
	}
	if e&entryReserved != 0 {
		return mapping{}, &fault{errcode.TableBounds, "reserved bits are set", ""}
	}
	off := int64(e & entryOffset)
	if e&entryZero != 0 {
		if m.version < 3 {
			return mapping{}, &fault{errcode.TableBounds, "version 2 has no zero clusters", ""}
		}
		if off%m.cluster != 0 {
			return mapping{}, &fault{errcode.TableBounds, "host offset is not that of a cluster", fmt.Sprintf("multiple of %d", m.cluster)}
		}
		return mapping{host: off, zero: whole}, nil
	}
	if off == 0 {
		return mapping{}, nil
	}
	return mapping{host: off, stored: whole}, m.inFile(off)
}

// decodeExtended checks an entry with subclusters: the low half of the bitmap
// says which are stored, the high half which read as zeros.
func (m *mapper) decodeExtended(e, bitmap uint64) (mapping, *fault) {
	if e&(entryReserved|entryZero) != 0 {
		return mapping{}, &fault{errcode.TableBounds, "reserved bits are set", ""}
	}
	out := mapping{host: int64(e & entryOffset), stored: uint32(bitmap), zero: uint32(bitmap >> 32)}
	if out.stored&out.zero != 0 {
		return mapping{}, &fault{errcode.TableBounds, "a subcluster is both stored and zero", ""}
	}
	if out.stored != 0 {
		return out, m.inFile(out.host)
	}
	if out.host%m.cluster != 0 {
		return mapping{}, &fault{errcode.TableBounds, "host offset is not that of a cluster", fmt.Sprintf("multiple of %d", m.cluster)}
	}
	return out, nil
}

// decodeCompressed checks a compressed cluster descriptor: the offset has
// 62-(cluster_bits-8) bits, the rest counts the sectors after the first.
func (m *mapper) decodeCompressed(e uint64) (mapping, *fault) {
	shift := 62 - (m.bits - 8)
	desc := e &^ (entryCompressed | entryCopied)
	off := int64(desc & (1<<shift - 1))
	sectors := int64(desc>>shift) + 1
	out := mapping{compressed: true, host: off, length: sectors*sectorSize - off%sectorSize, stored: whole}
	switch {
	case e&entryCopied != 0:
		return out, &fault{errcode.TableBounds, "a compressed cluster is marked as copied", ""}
	case off < m.cluster:
		return out, &fault{errcode.TableBounds, "compressed data lie on the header", fmt.Sprintf("from %d", m.cluster)}
	case off >= m.fileSize || off+out.length > m.round(m.fileSize):
		return out, &fault{errcode.Truncated, "compressed data end beyond the end of the file", fmt.Sprintf("file of %d bytes", m.fileSize)}
	}
	return out, nil
}

// A piece is a run of guest bytes within one cluster that are in one state.
type piece struct {
	state      formats.State
	compressed bool
	host       int64 // host offset of the first byte, -1 if it has none of its own
	len        int64
}

// pieceAt returns the piece that begins rel bytes into the cluster.
func (m *mapper) pieceAt(c mapping, rel int64) piece {
	end := m.cluster
	bit := uint32(1)
	if m.extended && !c.compressed {
		sub := rel / m.subcluster()
		bit = 1 << sub
		end = (sub + m.alike(c, int(sub))) * m.subcluster()
	}
	p := piece{state: formats.Hole, host: -1, len: end - rel}
	switch {
	case c.stored&bit != 0:
		p.state, p.compressed = formats.Data, c.compressed
		// A cluster that the file holds only in part is not a plain run.
		if !c.compressed && c.host+m.cluster <= m.fileSize {
			p.host = c.host + rel
		}
	case c.zero&bit != 0:
		p.state = formats.Zero
	}
	return p
}

// alike counts the subclusters from sub on that are in its state.
func (m *mapper) alike(c mapping, sub int) int64 {
	differ := func(b uint32) uint32 {
		b >>= sub
		if b&1 != 0 {
			return ^b
		}
		return b
	}
	n := min(bits.TrailingZeros32(differ(c.stored)), bits.TrailingZeros32(differ(c.zero)))
	return int64(min(n, 32-sub))
}

// entryFault makes an error of what is wrong with an entry of a table.
func entryFault(f *fault, table string, index int64, off int64, value uint64) error {
	return errcode.New(f.code, "%s, entry %d: %s", table, index, f.what).
		With(limited(evidence(table, fmt.Sprintf("entry %d", index), off, hex(value)), f.limit))
}
