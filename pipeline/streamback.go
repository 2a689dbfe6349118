package pipeline

import (
	"context"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// guestStream digests the source's length of the guest bytes of a target that
// can only be read from its begin on.
func (rb *readback) guestStream(ctx context.Context, disk formats.Streamer) error {
	s := &streamDigest{h: rb.digest, size: rb.want.SourceSize, block: make([]byte, 0, content.BlockBytes)}
	err := disk.Stream(ctx, func(off int64, p []byte) error {
		rb.o(rb.want.Size+min(off, s.size), rb.total(), nil)
		if n := s.size - off; n < int64(len(p)) {
			n = max(0, n)
			if !binio.IsZero(p[n:]) {
				return paddingError(off + n)
			}
			p = p[:n]
		}
		s.write(off, p)
		return nil
	})
	if err != nil {
		return readBackError(err)
	}
	s.zeros(s.size)
	return nil
}

// A streamDigest cuts a stream into the blocks of the content digest.
type streamDigest struct {
	h     *content.Hasher
	size  int64
	block []byte // what there is of the block behind h.Off()
}

// off is how far the stream has come.
func (s *streamDigest) off() int64 { return s.h.Off() + int64(len(s.block)) }

// write takes the bytes at off, and zeros before them.
func (s *streamDigest) write(off int64, p []byte) {
	if len(p) == 0 {
		return
	}
	s.zeros(off)
	for len(p) > 0 {
		n := min(len(p), cap(s.block)-len(s.block))
		s.block = append(s.block, p[:n]...)
		p = p[n:]
		s.flush()
	}
}

// zeros takes zeros up to the guest offset to.
func (s *streamDigest) zeros(to int64) {
	for s.off() < to {
		if len(s.block) == 0 {
			whole := (to - s.off()) / content.BlockBytes * content.BlockBytes
			if to == s.size {
				whole = to - s.off()
			}
			if whole > 0 {
				s.h.AddZeros(whole)
				continue
			}
		}
		n := min(to-s.off(), int64(cap(s.block)-len(s.block)))
		s.block = s.block[:len(s.block)+int(n)]
		clear(s.block[len(s.block)-int(n):])
		s.flush()
	}
}

// flush adds the block if it is whole, or the disk's last.
func (s *streamDigest) flush() {
	if len(s.block) < cap(s.block) && s.off() < s.size {
		return
	}
	s.h.Add(content.LeafOf(s.block))
	s.block = s.block[:0]
}

// paddingError says that what a format added behind the source is not zero.
func paddingError(off int64) error {
	return errcode.New(errcode.VerifyMismatch, "the padding behind the source's bytes is not zero").
		With(errcode.Evidence{Structure: "padding", Offset: errcode.At(off)})
}
