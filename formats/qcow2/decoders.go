package qcow2

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/klauspost/compress/zstd"

	"ingest/internal/errcode"
	"ingest/internal/inflate"
)

// maxZstdWindow is the largest window of a frame that is accepted: 8 MiB is
// what every decoder should support (RFC 8878 section 3.1.1.1.2), and four times
// the largest cluster.
const maxZstdWindow = 8 << 20

// zstdSlack is how much room the zstd decoder wants behind its output, bytes.
// Without it, it takes twice the time.
const zstdSlack = 16

// decoders are made when they are first needed and then used again.
type decoders struct {
	deflate rawInflater // an inflate.Decoder
	zstd    *zstd.Decoder
	roomy   []byte // a cluster and the decoder's slack
}

// A rawInflater is what inflate.Decoder is, by its method Raw.
type rawInflater interface {
	Raw(dst, src []byte) (written, used int, err error)
}

// decode inflates src into all of dst. What lies behind dst, up to its capacity,
// may be written over: there the decoder works faster. What follows the compressed bytes in src
// belongs to another cluster or to nobody.
func (t *decoders) decode(dst, src []byte, compression uint8) (err error) {
	defer t.guard(&err)
	if compression == compressZstd {
		return t.unzstd(dst, src)
	}
	return t.undeflate(dst, src)
}

// guard turns a panic of a decoder into an error, and forgets the decoders in
// whatever state they are.
func (t *decoders) guard(err *error) {
	if p := recover(); p != nil {
		*t = decoders{}
		*err = errcode.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), errcode.ParserCrash,
			"inflating a cluster failed in an unforeseen way")
	}
}

// undeflate reads as much of a raw deflate stream as fills dst. Like QEMU it
// does not ask for the stream's end.
func (t *decoders) undeflate(dst, src []byte) error {
	if t.deflate == nil {
		t.deflate = new(inflate.Decoder)
	}
	n, _, err := t.deflate.Raw(dst, src)
	switch {
	case n == len(dst):
		return nil
	case err == nil:
		return io.ErrUnexpectedEOF
	}
	return err
}

// unzstd decodes frames until dst is full; QEMU writes one. Like QEMU it asks
// that the frame which fills dst ends there.
func (t *decoders) unzstd(dst, src []byte) error {
	if t.zstd == nil {
		var err error
		// One block decoder: an inflater serves one goroutine at a time. Without
		// streams the decoder starts no goroutine and needs no Close.
		t.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(maxZstdWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return err
		}
	}
	if cap(dst)-len(dst) < zstdSlack {
		if cap(t.roomy) < len(dst)+zstdSlack {
			t.roomy = make([]byte, len(dst)+zstdSlack)
		}
		err := t.frames(t.roomy[:len(dst)], src)
		copy(dst, t.roomy)
		return err
	}
	return t.frames(dst, src)
}

// frames decodes frames until dst is full. It may write behind dst, up to its
// capacity.
func (t *decoders) frames(dst, src []byte) error {
	for len(dst) > 0 {
		n, err := frameLen(src)
		if err != nil {
			return err
		}
		out, err := t.zstd.DecodeAll(src[:n], dst[:0])
		if err != nil {
			return err
		}
		if len(out) > len(dst) || len(out) > 0 && &out[0] != &dst[0] {
			return zstd.ErrDecoderSizeExceeded
		}
		dst, src = dst[len(out):], src[n:]
	}
	return nil
}
