package gce

import (
	"encoding/binary"
	"hash/crc32"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/binio"
)

// gzipHeader is that of a member without name and time, made by an unknown system
// (RFC 1952, section 2.3).
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// endBlocks is how many blocks of zeros end a tar file at the least.
const endBlocks = 2

// A builder puts the compressed runs one behind the other as the units come in,
// and writes the zeros that the map has as data.
type builder struct {
	dst   formats.Sink
	m     sparseMap
	pos   int64  // host offset up to which all is written
	plain int64  // bytes of the tar file so far
	crc   uint32 // of them
	zero  deflater
	zeros []byte // a unit of zeros, from the first use on
	unit0 []byte // its run
	buf   []byte // scratch
}

func newBuilder(dst formats.Sink, m sparseMap, level int) (*builder, error) {
	b := &builder{dst: dst, m: m, zero: deflater{level: level}, zeros: make([]byte, transfer.UnitBytes)}
	var err error
	b.unit0, err = b.zero.run(nil, b.zeros)
	return b, err
}

// begin writes gzip's header and the member's.
func (b *builder) begin() error {
	header := b.m.header()
	b.count(header)
	p, err := b.zero.run([]byte(gzipHeader), header)
	if err != nil {
		return err
	}
	return b.write(p)
}

// count takes the next bytes of the tar file into its length and sum.
func (b *builder) count(p []byte) {
	b.plain += int64(len(p))
	b.crc = crc32.Update(b.crc, crc32.IEEETable, p)
}

// unit takes the next unit: what its worker left in Buf, or zeros.
func (b *builder) unit(u *transfer.Unit) error {
	if u.Data == nil {
		return b.putZeros(u.Off, u.Off+u.Len)
	}
	for r := range b.m.within(u.Off, u.Off+u.Len) {
		b.count(u.Data[r.off-u.Off : r.end-u.Off])
	}
	return b.write(u.Buf)
}

// putZeros writes the zeros that the map has in [off, end), cut at borders of
// units, so that the engine's own cuts make no difference.
func (b *builder) putZeros(off, end int64) error {
	for r := range b.m.within(off, end) {
		for r.off < r.end {
			next := min(r.end, r.off-r.off%transfer.UnitBytes+transfer.UnitBytes)
			if err := b.putZeroRun(next - r.off); err != nil {
				return err
			}
			r.off = next
		}
	}
	return nil
}

// putZeroRun writes n zeros, at most a unit.
func (b *builder) putZeroRun(n int64) error {
	b.count(b.zeros[:n])
	if n == transfer.UnitBytes {
		return b.write(b.unit0)
	}
	var err error
	if b.buf, err = b.zero.run(b.buf[:0], b.zeros[:n]); err != nil {
		return err
	}
	return b.write(b.buf)
}

func (b *builder) write(p []byte) error {
	_, err := b.dst.WriteAt(p, b.pos)
	b.pos += int64(len(p))
	return err
}

// finish writes what the map has behind the source's end, the zeros that end the
// tar file, up to a whole record, and gzip's trailer.
func (b *builder) finish(source int64) (formats.Summary, error) {
	if err := b.putZeros(source, b.m.size); err != nil {
		return formats.Summary{}, err
	}
	end := b.plain + endBlocks*blockBytes
	tail := b.zeros[:binio.DivCeil(end, recordBytes)*recordBytes-b.plain]
	b.count(tail)
	p, err := b.zero.run(nil, tail)
	if err != nil {
		return formats.Summary{}, err
	}
	p = append(p, lastBlock...)
	p = binary.LittleEndian.AppendUint32(p, b.crc)
	p = binary.LittleEndian.AppendUint32(p, uint32(b.plain))
	if err := b.write(p); err != nil {
		return formats.Summary{}, err
	}
	return formats.Summary{Format: formats.Raw, FileSize: b.pos, VirtualSize: b.m.size}, nil
}
