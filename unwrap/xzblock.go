package unwrap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/ulikunitz/xz/lzma"

	"ingest/internal/errcode"
)

// A blockHeader is what the header of a block says (The .xz File Format, 3.1).
type blockHeader struct {
	size                     int64 // of the header itself
	compressed, uncompressed int64 // -1 if it does not say
	dictionary               int64
}

// errNumber is for a multibyte integer that is too long or not the shortest.
var errNumber = errors.New("bad multibyte integer")

// number reads a multibyte integer (1.2).
func number(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 9 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			if b == 0 && i > 0 {
				return 0, errNumber
			}
			return v, nil
		}
	}
	return 0, errNumber
}

// parseBlock reads a whole block header.
func (x *xzReader) parseBlock(p []byte) (blockHeader, error) {
	h := blockHeader{size: int64(len(p)), compressed: -1, uncompressed: -1}
	body := p[:len(p)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(p[len(body):]) {
		return h, x.in.corrupt("block header", "CRC32", nil, "")
	}
	flags := body[1]
	r := bytes.NewReader(body[2:])
	for _, f := range []struct {
		bit byte
		to  *int64
	}{{0x40, &h.compressed}, {0x80, &h.uncompressed}} {
		if flags&f.bit == 0 {
			continue
		}
		v, err := number(r)
		if err != nil {
			return h, x.in.corrupt("block header", "sizes", nil, "")
		}
		*f.to = int64(min(v, math.MaxInt64))
	}
	id, err := number(r)
	if flags&0x3c != 0 || flags&3 != 0 || err == nil && id != 0x21 {
		return h, x.in.place("block header", "List of Filter Flags").Refuse(errcode.CompressionMethod, fmt.Sprintf("flags %#x, filter %#x", flags, id), "LZMA2 alone",
			"the xz was made with a filter beside LZMA2")
	}
	rest := body[len(body)-r.Len():]
	// 5.3.1: one byte of properties, and zeros fill the header up.
	if err != nil || len(rest) < 2 || rest[0] != 1 || rest[1] > 40 || len(bytes.Trim(rest[2:], "\x00")) != 0 {
		return h, x.in.corrupt("block header", "Filter Properties", nil, "")
	}
	h.dictionary = math.MaxUint32
	if b := rest[1]; b < 40 {
		h.dictionary = int64(2|b&1) << (b/2 + 11)
	}
	return h, nil
}

// maxChunk is the longest that a chunk of LZMA2 can be in the file: a header of
// six bytes and 64 KiB.
const maxChunk = 6 + 64<<10

// An lzma2Reader reads the chunks of blocks (5.3.1; the chunks themselves are
// described by xz's lzma2_decoder.c). One decoder reads the chunks of all blocks
// as if they were one, for each block begins with a reset of the dictionary: a
// file of many tiny blocks does not allocate a dictionary for each.
type lzma2Reader struct {
	in    *input
	limit int64
	dec   *lzma.Reader2
	dict  int64
	chunk bytes.Reader // what the decoder reads
	buf   []byte
	left  int64 // bytes that are still to come out of the chunk
	first bool  // the next chunk is the block's first
}

func newLZMA2(in *input, limit int64) *lzma2Reader { return &lzma2Reader{in: in, limit: limit} }

// begin prepares for a block that asks for a dictionary.
func (l *lzma2Reader) begin(dictionary int64) error {
	if dictionary > l.limit {
		return l.in.place("block header", "Dictionary Size").Refuse(errcode.DecompressorMemory, dictionary, fmt.Sprint(l.limit),
			"decompressing the xz takes a dictionary of %d bytes", dictionary)
	}
	l.first, l.left = true, 0
	if dictionary > l.dict {
		l.dec, l.dict = nil, dictionary
	}
	return nil
}

// Read decompresses, up to the end of a block.
func (l *lzma2Reader) Read(p []byte) (int, error) {
	if l.left == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	// The decoder reads the next chunk's header only when it is asked for more
	// bytes than the chunk has.
	n, err := l.dec.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = l.in.corrupt("LZMA2 chunk", "", nil, "")
	}
	if err == nil && l.left == 0 && l.chunk.Len() > 0 {
		err = l.in.corrupt("LZMA2 chunk", "compressed size", nil, "")
	}
	return n, err
}

// next takes the next chunk, or io.EOF at the block's end.
func (l *lzma2Reader) next() error {
	control, err := l.in.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	if control == 0 {
		return io.EOF
	}
	resets := control == 1 || control >= 0xe0
	if l.first && !resets || control > 2 && control < 0x80 {
		return l.in.corrupt("LZMA2 chunk", "control", control, "")
	}
	l.first = false
	if l.buf == nil {
		l.buf = make([]byte, maxChunk)
	}
	l.buf[0] = control
	if err := l.body(); err != nil {
		return err
	}
	if l.dec != nil {
		return nil
	}
	l.dec, err = lzma.Reader2Config{DictCap: int(max(l.dict, lzma.MinDictCap))}.NewReader2(&l.chunk)
	return err
}

// body reads the rest of the chunk whose control byte stands in the buffer.
func (l *lzma2Reader) body() error {
	header := 3
	switch c := l.buf[0]; {
	case c >= 0xc0:
		header = 6
	case c >= 0x80:
		header = 5
	}
	if err := l.in.full(l.buf[1:header]); err != nil {
		return err
	}
	l.left = int64(binary.BigEndian.Uint16(l.buf[1:])) + 1
	size := l.left
	if c := l.buf[0]; c >= 0x80 {
		l.left += int64(c&0x1f) << 16
		size = int64(binary.BigEndian.Uint16(l.buf[3:])) + 1
	}
	whole := l.buf[:int64(header)+size]
	if err := l.in.full(whole[header:]); err != nil {
		return err
	}
	l.chunk.Reset(whole)
	return nil
}
