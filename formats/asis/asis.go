// Package asis finds the compressed bytes that a source has already of a cluster or
// a grain, so that a target that encodes it alike need not compress it again.
//
// That is legal when four things hold, and each is proven of each stream before
// it is passed on: it stands for exactly the target's cluster, at its border and of
// its size; it decodes to exactly the guest's bytes, which is found out by
// decoding it and comparing; it ends where it is cut; and it refers no further back
// than readers of the target look (RFC 1951 section 2: a distance of at most the
// window; RFC 8878 section 3.1.1.1.2: a frame's window). What a hostile source
// says of its streams is not believed. A stream that fails is no error: the cluster
// is compressed as any other.
package asis

import (
	"bytes"

	"github.com/klauspost/compress/zstd"

	"ingest/formats"
	"ingest/internal/inflate"
)

// maxZstdWindow is the largest window of a frame that is passed on, bytes: what
// RFC 8878 section 3.1.1.1.2 asks every decoder to have.
const maxZstdWindow = 8 << 20

// A Source is a disk whose streams may be passed on. The nil Source has none.
type Source struct {
	r    formats.PackedReader
	size int64 // of the target's clusters, bytes
}

// Of returns the streams of a disk for a target of clusters of size bytes, nil if
// the disk keeps none.
func Of(d formats.Disk, size int64) *Source {
	r, ok := d.(formats.PackedReader)
	if !ok {
		return nil
	}
	return &Source{r: r, size: size}
}

// A Taker finds streams of a Source for one goroutine. The zero value is ready.
type Taker struct {
	host, out []byte
	inflate   inflate.Decoder
	zstd      *zstd.Decoder
}

// Deflate returns the bare deflate stream (RFC 1951) of the guest bytes p at off,
// which needs no more than window bytes, and true, if the source has it. The bytes
// are good until the next call. An error is one of reading the source.
func (t *Taker) Deflate(s *Source, off int64, p []byte, window int) ([]byte, bool, error) {
	k, ok, err := s.find(off, p)
	if !ok || err != nil {
		return nil, false, err
	}
	// Streams of a format with a larger window mostly use it: not worth a try.
	if k.Codec != formats.CodecDeflate && k.Codec != formats.CodecZlib || k.Window == 0 || 1<<k.Window > window {
		return nil, false, nil
	}
	stream, ok, err := t.read(s, k)
	if !ok || err != nil {
		return nil, false, err
	}
	t.room(len(p))
	var n, used, head, tail int
	var bad error
	if k.Codec == formats.CodecZlib {
		head, tail = 2, 4 // RFC 1950 section 2.2
		n, used, bad = t.inflate.Zlib(t.out[:len(p)], stream)
	} else {
		n, used, bad = t.inflate.Raw(t.out[:len(p)], stream)
	}
	if bad != nil || n != len(p) || t.inflate.Window() > window || !bytes.Equal(t.out[:n], p) {
		return nil, false, nil
	}
	return stream[head : used-tail], true, nil
}

// Zstd returns the one zstd frame (RFC 8878) of the guest bytes p at off, and true,
// if the source has it. The bytes are good until the next call.
func (t *Taker) Zstd(s *Source, off int64, p []byte) ([]byte, bool, error) {
	k, ok, err := s.find(off, p)
	if !ok || err != nil || k.Codec != formats.CodecZstd {
		return nil, false, err
	}
	frame, ok, err := t.read(s, k)
	if !ok || err != nil || !oneFrame(frame, len(p)) {
		return nil, false, err
	}
	if t.zstd == nil {
		if t.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(maxZstdWindow), zstd.WithDecodeAllCapLimit(true)); err != nil {
			return nil, false, err
		}
	}
	t.room(len(p))
	out, bad := t.zstd.DecodeAll(frame, t.out[:0:cap(t.out)])
	if bad != nil || !bytes.Equal(out, p) {
		return nil, false, nil
	}
	return frame, true, nil
}

// oneFrame reports whether p is one frame of n bytes and a modest window. Its
// reader has cut it behind the first frame that tells n, or tells nothing.
func oneFrame(p []byte, n int) bool {
	var h zstd.Header
	if err := h.Decode(p); err != nil || h.Skippable || h.DictionaryID != 0 || h.HasFCS && h.FrameContentSize != uint64(n) {
		return false
	}
	return h.SingleSegment || h.WindowSize <= maxZstdWindow
}

// find returns the packed run that stands for the target's cluster at off.
func (s *Source) find(off int64, p []byte) (formats.Packed, bool, error) {
	if s == nil || int64(len(p)) != s.size {
		return formats.Packed{}, false, nil
	}
	k, ok, err := s.r.PackedAt(off)
	return k, ok && k.Off == off && k.Size == s.size && k.Len == s.size, err
}

// read reads a run's stream. One that is as long as what it stands for is none that
// a target keeps.
func (t *Taker) read(s *Source, k formats.Packed) ([]byte, bool, error) {
	if k.HostLen <= 0 || k.HostLen > 2*s.size+hostSlack {
		return nil, false, nil
	}
	if int64(cap(t.host)) < k.HostLen {
		t.host = make([]byte, k.HostLen)
	}
	t.host = t.host[:k.HostLen]
	if err := s.r.ReadHost(t.host, k.HostOff); err != nil {
		return nil, false, err
	}
	stream, err := s.r.Stream(k, t.host)
	return stream, err == nil, nil
}

// hostSlack is how many bytes of others a format's descriptor may count in, beyond
// twice a cluster: the sectors around a short one.
const hostSlack = 4 << 10

// zstdSlack is the room that the zstd decoder wants behind its output, bytes.
const zstdSlack = 16

// room makes out long enough for n bytes.
func (t *Taker) room(n int) {
	if cap(t.out) < n+zstdSlack {
		t.out = make([]byte, n+zstdSlack)
	}
	t.out = t.out[:n+zstdSlack]
}
