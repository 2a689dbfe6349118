package unwrap

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"strings"

	"ingest/internal/errcode"
)

// An xzReader reads the container of xz: streams of blocks (The .xz File Format,
// 2 and 3). Only what lies within the blocks, LZMA2, is left to a library, which
// would take a dictionary of any size, and an index of any length, from the file.
type xzReader struct {
	in   *input
	lzma *lzma2Reader

	opened bool // within a stream
	block  bool // within a block
	flags  [2]byte
	check  hash.Hash // of the block, nil without one
	tally  tally     // of the blocks
	from   int64     // where the block's header begins
	out    int64     // bytes of the block that came out
	head   blockHeader
}

// A tally sums up the records of an index: their number and a hash of them, so
// that an index of any length takes no memory.
type tally struct {
	n   uint64
	sum hash.Hash
}

func newTally() tally { return tally{sum: sha256.New()} }

func (t *tally) add(unpadded, uncompressed uint64) {
	t.n++
	var p [16]byte
	binary.LittleEndian.PutUint64(p[:], unpadded)
	binary.LittleEndian.PutUint64(p[8:], uncompressed)
	t.sum.Write(p[:])
}

func newXZ(in *input, dictionary int64) *xzReader {
	return &xzReader{in: in, lzma: newLZMA2(in, dictionary)}
}

// Read decompresses.
func (x *xzReader) Read(p []byte) (int, error) {
	for {
		switch {
		case x.block:
			n, err := x.lzma.Read(p)
			if n > 0 && x.check != nil {
				x.check.Write(p[:n])
			}
			x.out += int64(n)
			if err == io.EOF {
				err = x.endBlock()
			}
			if n > 0 || err != nil {
				return n, err
			}
		case x.opened:
			if err := x.nextBlock(); err != nil {
				return 0, err
			}
		default:
			if err := x.streamHeader(); err != nil {
				return 0, err
			}
		}
	}
}

// streamHeader reads the header of the first or the next stream (2.1.1). Between
// streams there may be zeros, four at a time (2.2).
func (x *xzReader) streamHeader() error {
	for x.tally.sum != nil {
		p, _ := x.in.Peek(4)
		if string(p) != "\x00\x00\x00\x00" {
			break
		}
		if _, err := x.in.Discard(4); err != nil {
			return err
		}
	}
	again, err := x.in.next(func(p []byte) bool { return strings.HasPrefix(string(p), magicXZ) })
	if !again {
		if x.tally.sum == nil {
			err = noEOF(err)
		}
		return err
	}
	var p [12]byte
	if err := x.in.full(p[:]); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(p[6:8]) != binary.LittleEndian.Uint32(p[8:]) {
		return x.in.corrupt("stream header", "CRC32", nil, "")
	}
	x.flags = [2]byte(p[6:8])
	known := true
	if x.check, known = checkOf(x.flags[1]); x.flags[0] != 0 || !known {
		return x.in.place("stream header", "Stream Flags").Refuse(errcode.CompressionMethod, x.flags, "none, CRC32, CRC64, SHA-256", "the xz has a check that is not known")
	}
	x.opened, x.tally = true, newTally()
	return nil
}

// checkOf returns the hash of a check's ID (2.1.1.2), and whether there is one of
// that ID.
func checkOf(id byte) (hash.Hash, bool) {
	switch id {
	case 0:
		return nil, true
	case 1:
		return crc32.NewIEEE(), true
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), true
	case 10:
		return sha256.New(), true
	}
	return nil, false
}

// checkSize returns the length of the check.
func (x *xzReader) checkSize() int64 {
	if x.check == nil {
		return 0
	}
	return int64(x.check.Size())
}

// nextBlock reads the header of a block, or the index behind the last one.
func (x *xzReader) nextBlock() error {
	x.from = x.in.taken()
	size, err := x.in.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	if size == 0 {
		x.opened = false
		return x.index()
	}
	p := make([]byte, (int(size)+1)*4)
	p[0] = size
	if err := x.in.full(p[1:]); err != nil {
		return err
	}
	if x.head, err = x.parseBlock(p); err != nil {
		return err
	}
	x.block, x.out = true, 0
	if x.check != nil {
		x.check.Reset()
	}
	return x.lzma.begin(x.head.dictionary)
}

// endBlock reads padding and check behind the data (3.3, 3.4).
func (x *xzReader) endBlock() error {
	x.block = false
	end := x.in.taken()
	if x.head.compressed >= 0 && x.head.compressed != end-x.from-x.head.size {
		return x.in.corrupt("block header", "Compressed Size", x.head.compressed, "")
	}
	if x.head.uncompressed >= 0 && x.head.uncompressed != x.out {
		return x.in.corrupt("block header", "Uncompressed Size", x.head.uncompressed, "")
	}
	if err := x.padding(end - x.from); err != nil {
		return err
	}
	x.tally.add(uint64(end-x.from+x.checkSize()), uint64(x.out))
	if x.check == nil {
		return nil
	}
	got := make([]byte, x.check.Size())
	if err := x.in.full(got); err != nil {
		return err
	}
	want := x.check.Sum(nil)
	if x.flags[1] != 10 { // the CRCs are little endian, and Sum gives big endian
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.Equal(got, want) {
		return x.in.corrupt("block", "Check", nil, "")
	}
	return nil
}

// padding reads the zeros that fill n bytes up to a multiple of four.
func (x *xzReader) padding(n int64) error {
	p := make([]byte, -n&3)
	if err := x.in.full(p); err != nil {
		return err
	}
	if strings.Trim(string(p), "\x00") != "" {
		return x.in.corrupt("padding", "", nil, "zeros")
	}
	return nil
}

// index reads the index and the stream's footer (4, 2.1.2). What it says has to be
// what the blocks were.
func (x *xzReader) index() error {
	c := &crcReader{in: x.in, sum: crc32.NewIEEE()}
	c.sum.Write([]byte{0}) // the indicator, which was read
	n, err := c.number()
	if err != nil {
		return err
	}
	if n != x.tally.n {
		return x.in.corrupt("index", "Number of Records", n, "")
	}
	seen := newTally()
	for range n {
		unpadded, err := c.number()
		if err != nil {
			return err
		}
		uncompressed, err := c.number()
		if err != nil {
			return err
		}
		seen.add(unpadded, uncompressed)
	}
	if !bytes.Equal(seen.sum.Sum(nil), x.tally.sum.Sum(nil)) {
		return x.in.corrupt("index", "List of Records", nil, "")
	}
	for (x.in.taken()-x.from)%4 != 0 {
		if b, err := c.ReadByte(); err != nil || b != 0 {
			return orCorrupt(err, x.in.corrupt("index", "Index Padding", b, "0"))
		}
	}
	size := x.in.taken() - x.from + 4
	var p [16]byte // CRC32 of the index, then the footer
	if err := x.in.full(p[:]); err != nil {
		return err
	}
	le := binary.LittleEndian
	switch {
	case le.Uint32(p[:]) != c.sum.Sum32():
		return x.in.corrupt("index", "CRC32", nil, "")
	case string(p[14:]) != "YZ", le.Uint32(p[4:]) != crc32.ChecksumIEEE(p[8:14]):
		return x.in.corrupt("stream footer", "CRC32", nil, "")
	case (int64(le.Uint32(p[8:]))+1)*4 != size:
		return x.in.corrupt("stream footer", "Backward Size", le.Uint32(p[8:]), "")
	case [2]byte(p[12:14]) != x.flags:
		return x.in.corrupt("stream footer", "Stream Flags", nil, "")
	}
	return nil
}

func orCorrupt(err, corrupt error) error {
	if err != nil {
		return noEOF(err)
	}
	return corrupt
}

// A crcReader takes the CRC32 of what it reads.
type crcReader struct {
	in  *input
	sum hash.Hash32
}

// ReadByte reads a byte.
func (c *crcReader) ReadByte() (byte, error) {
	b, err := c.in.ReadByte()
	if err == nil {
		c.sum.Write([]byte{b})
	}
	return b, err
}

// number reads an integer of one to nine bytes (1.2).
func (c *crcReader) number() (uint64, error) {
	v, err := number(c)
	if err == errNumber {
		err = c.in.corrupt("index", "multibyte integer", nil, "")
	}
	return v, noEOF(err)
}
