package qcow2

import (
	"context"
	"encoding/binary"

	"ingest/formats"
	"ingest/formats/asis"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/deflate"
	"ingest/internal/zstandard"
)

// densest bounds how many guest bytes one stored byte stands for: a cluster that
// compresses further is filled up with zeros, which decoders leave alone. An
// image written here so never looks like one that is made to expand
// (formats.Limits.ExpansionRatio), whatever the guest's bytes are.
const densest = 1024

// A workshop is what the workers do to units of data, with one set of tools
// for each worker.
//
// A worker leaves its work in the unit's Buf: for each cluster a length of four
// bytes (0 for zeros, the cluster size for a plain cluster, less for compressed
// bytes), and behind all lengths the compressed bytes, one after the other.
type workshop struct {
	target
	src   *asis.Source // streams that the source has already, nil if none
	tools []tools
}

type tools struct {
	deflate *deflate.Encoder
	zstd    *zstandard.Encoder
	take    asis.Taker
	last    []byte // the disk's last cluster, filled up with zeros
}

func newWorkshop(t target, src formats.Disk, workers int) *workshop {
	return &workshop{target: t, src: asis.Of(src, t.cluster), tools: make([]tools, workers)}
}

const lengthBytes = 4

// unit works on one unit of data.
func (w *workshop) unit(_ context.Context, worker int, u *transfer.Unit) error {
	n := int(binio.DivCeil(u.Len, w.cluster))
	tools := &w.tools[worker]
	buf := append(u.Buf[:0], make([]byte, n*lengthBytes)...)
	for i := range n {
		at := int64(i) * w.cluster
		p := u.Data[at:min(at+w.cluster, u.Len)]
		length := int64(0)
		if !binio.IsZero(p) {
			before := len(buf)
			var err error
			if buf, err = w.pack(tools, buf, p, u.Off+at); err != nil {
				return err
			}
			if length = int64(len(buf) - before); length == 0 {
				length = w.cluster
			}
			if fill := w.cluster/densest - length; fill > 0 {
				buf = append(buf, make([]byte, fill)...)
				length += fill
			}
		}
		binary.BigEndian.PutUint32(buf[i*lengthBytes:], uint32(length))
	}
	u.Buf = buf
	return nil
}

// pack appends the compressed form of the cluster at off, as the source has it or
// made anew, or nothing if it is not smaller.
func (w *workshop) pack(t *tools, buf, p []byte, off int64) ([]byte, error) {
	var stream []byte
	var ok bool
	var err error
	switch w.compression {
	case compressDeflate:
		stream, ok, err = t.take.Deflate(w.src, off, p, deflate.SmallWindow)
	case compressZstd:
		stream, ok, err = t.take.Zstd(w.src, off, p)
	}
	if err != nil {
		return buf, err
	}
	if ok && len(stream) < len(p) {
		return append(buf, stream...), nil
	}
	return w.compress(t, buf, p), nil
}

// compress appends the compressed form of a cluster to buf, or nothing if it
// is not smaller.
func (w *workshop) compress(t *tools, buf, p []byte) []byte {
	if w.compression == compressNot {
		return buf
	}
	if int64(len(p)) < w.cluster {
		t.last = append(t.last[:0], p...)
		t.last = append(t.last, make([]byte, w.cluster-int64(len(p)))...)
		p = t.last
	}
	if w.compression == compressZstd {
		return w.compressZstd(t, buf, p)
	}
	return w.compressDeflate(t, buf, p)
}

// compressDeflate keeps to the window that QEMU's decoder has: it opens streams with
// windowBits -12.
func (w *workshop) compressDeflate(t *tools, buf, p []byte) []byte {
	if t.deflate == nil {
		t.deflate = deflate.New(deflate.SmallWindow, deflate.Fast)
	}
	buf, _ = t.deflate.Raw(buf, p, len(p)-1)
	return buf
}

// compressZstd writes a frame that tells its content size. It has no checksum: the
// guest's bytes are digested as a whole.
func (w *workshop) compressZstd(t *tools, buf, p []byte) []byte {
	if t.zstd == nil {
		t.zstd = zstandard.New()
	}
	buf, _ = t.zstd.Frame(buf, p, len(p)-1)
	return buf
}
