package unwrap

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"ingest/internal/errcode"
)

// newZstd returns a decoder without goroutines or look-ahead.
func newZstd(in *input, window int64) io.Reader {
	f := &zstdFrames{in: in, window: window}
	// The decoder's own bound is for what the walk has let pass already.
	d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(max(window, zstd.MinWindowSize))),
		zstd.WithDecoderMaxMemory(uint64(max(window, zstd.MinWindowSize))))
	if err != nil {
		f.err = err
		return f
	}
	return &zstdReader{dec: d, frames: f}
}

// A zstdReader is the decoder with the walk's errors: the decoder takes an end
// within a frame's first bytes for the end of all.
type zstdReader struct {
	dec    io.Reader
	frames *zstdFrames
}

// Read decompresses.
func (z *zstdReader) Read(p []byte) (int, error) {
	n, err := z.dec.Read(p)
	if err != nil && z.frames.err != nil {
		err = z.frames.err
	}
	return n, err
}

// zstdFrames passes frames on to the decoder, one piece after the other, and looks
// at what the decoder would allocate for them: RFC 8878, 3.1.1. Skippable frames
// are left out.
type zstdFrames struct {
	in     *input
	window int64
	begun  bool   // a frame was seen
	open   bool   // within a frame
	sum    bool   // the frame ends with a checksum
	small  []byte // header bytes that are to be passed on
	block  int64  // bytes of the block that are to be passed on
	last   bool   // the block is the frame's last
	err    error  // what ended the walk
}

// Read passes the next bytes on.
func (f *zstdFrames) Read(p []byte) (int, error) {
	for len(f.small) == 0 && f.block == 0 && f.err == nil {
		f.err = f.step()
	}
	if f.err != nil {
		return 0, f.err
	}
	if len(f.small) > 0 {
		n := copy(p, f.small)
		f.small = f.small[n:]
		return n, nil
	}
	n, err := f.in.Read(p[:min(int64(len(p)), f.block)])
	f.block -= int64(n)
	f.err = noEOF(err)
	return n, f.err
}

// step reads the next header.
func (f *zstdFrames) step() error {
	switch {
	case !f.open:
		return f.frame()
	case !f.last:
		return f.blockHeader()
	}
	f.open = false
	if f.sum {
		return f.take(4)
	}
	return nil
}

// take reads n bytes that are passed on.
func (f *zstdFrames) take(n int) error {
	at := len(f.small)
	f.small = append(f.small, make([]byte, n)...)
	return f.in.full(f.small[at:])
}

// frame reads the magic and the frame header.
func (f *zstdFrames) frame() error {
	begins := func(p []byte) bool { return strings.HasPrefix(string(p), magicZstd) || isSkippable(p) }
	if again, err := f.in.next(begins); !again {
		if !f.begun {
			err = noEOF(err)
		}
		return err
	}
	if p, _ := f.in.Peek(4); isSkippable(p) {
		return f.skip()
	}
	f.begun, f.open, f.last, f.small = true, true, false, nil
	if err := f.take(5); err != nil {
		return err
	}
	return f.header(f.small[4])
}

// header reads what follows the frame header descriptor and checks what it says.
func (f *zstdFrames) header(descriptor byte) error {
	single := descriptor&(1<<5) != 0
	f.sum = descriptor&(1<<2) != 0
	window := 0
	if !single {
		window = 1
	}
	dictionary := []int{0, 1, 2, 4}[descriptor&3]
	content := []int{0, 2, 4, 8}[descriptor>>6]
	if content == 0 && single {
		content = 1
	}
	if err := f.take(window + dictionary + content); err != nil {
		return err
	}
	p := f.small[5:]
	if id := p[window : window+dictionary]; strings.Trim(string(id), "\x00") != "" {
		return f.in.place("frame header", "Dictionary_ID").Refuse(errcode.CompressionMethod, fmt.Sprintf("%x", id), "none", "the zstd was made with a dictionary")
	}
	need := contentSize(p[window+dictionary:])
	if !single {
		// 3.1.1.1.2: an exponent in the upper five bits, eighths in the lower three.
		need = uint64(8+p[0]&7) << (7 + p[0]>>3)
	}
	if need > uint64(f.window) {
		return f.in.place("frame header", "Window_Descriptor").Refuse(errcode.DecompressorMemory, need, fmt.Sprint(f.window),
			"decompressing the zstd takes a window of %d bytes", need)
	}
	return nil
}

// contentSize reads the field Frame_Content_Size.
func contentSize(p []byte) uint64 {
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p)) + 256
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	case 8:
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// blockHeader reads the header of a block (3.1.1.2).
func (f *zstdFrames) blockHeader() error {
	f.small = nil
	if err := f.take(3); err != nil {
		return err
	}
	h := uint32(f.small[0]) | uint32(f.small[1])<<8 | uint32(f.small[2])<<16
	f.last = h&1 != 0
	f.block = int64(h >> 3)
	const rle, reserved = 1, 3
	switch h >> 1 & 3 {
	case rle:
		f.block = 1
	case reserved:
		return f.in.corrupt("block header", "Block_Type", reserved, "0 to 2")
	}
	return nil
}

// skip leaves a skippable frame out.
func (f *zstdFrames) skip() error {
	var p [8]byte
	if err := f.in.full(p[:]); err != nil {
		return err
	}
	f.begun = true
	_, err := io.CopyN(io.Discard, f.in, int64(binary.LittleEndian.Uint32(p[4:])))
	return noEOF(err)
}
