package library

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"ingest/internal/errcode"
)

const sectorSize = 512

// maxZstdWindow is the largest window of a frame that is accepted: 8 MiB is
// what every decoder must support (RFC 8878 section 3.1.1.1.2), and four times
// the largest cluster.
const maxZstdWindow = 8 << 20

// An inflater holds what decompressing one cluster needs, for the next one.
type inflater struct {
	in, out []byte
	src     bytes.Reader
	deflate io.ReadCloser
	zstd    *zstd.Decoder
}

// A cluster is the inflated cluster that the module reads from.
type cluster struct {
	bytes.Reader
	inf *inflater
	m   *mask
}

// Close gives the buffers back.
func (c *cluster) Close() error {
	if c.inf != nil {
		c.m.inflaters.Put(c.inf)
		c.inf = nil
	}
	return nil
}

// inflate is the decompressor of both methods. The module passes a section of
// the mask that is longer than the compressed data: its length is the cluster
// size plus the descriptor's additional sectors, from which follows what the
// descriptor really says.
func inflate(r io.Reader, useZstd bool) (io.ReadCloser, error) {
	sec, ok := r.(*io.SectionReader)
	if !ok {
		return stream(r, useZstd)
	}
	outer, off, n := sec.Outer()
	m, ok := outer.(*mask)
	if !ok {
		return stream(r, useZstd)
	}
	inf, _ := m.inflaters.Get().(*inflater)
	if inf == nil {
		inf = &inflater{out: make([]byte, m.clusterSize)}
	}
	if err := inf.read(m, off, n); err != nil {
		return nil, err
	}
	if err := inf.run(useZstd); err != nil {
		return nil, errcode.Wrap(err, errcode.CompressionCorrupt, "compressed cluster at host offset %d does not inflate to %d bytes", off, m.clusterSize).
			With(errcode.Evidence{Format: "qcow2", Structure: "compressed cluster", Offset: errcode.At(off), Value: fmt.Sprintf("%d bytes", len(inf.in))})
	}
	c := &cluster{inf: inf, m: m}
	c.Reset(inf.out)
	return c, nil
}

// read fetches the compressed bytes: the descriptor counts whole sectors from
// the one that holds the first byte.
func (inf *inflater) read(m *mask, off, section int64) error {
	sectors := (section-m.clusterSize)/sectorSize + 1
	n := sectors*sectorSize - off%sectorSize
	// The count field has cluster_bits-8 bits, so twice a cluster is its end.
	if sectors < 1 || n > 2*m.clusterSize {
		return errcode.New(errcode.CompressionCorrupt, "compressed cluster of %d bytes at host offset %d", n, off)
	}
	if int64(cap(inf.in)) < n {
		inf.in = make([]byte, n, 2*m.clusterSize)
	}
	inf.in = inf.in[:n]
	_, err := m.ReadAt(inf.in, off)
	return err
}

// run inflates exactly one cluster. What follows in the last sector belongs to
// another cluster and is left alone.
func (inf *inflater) run(useZstd bool) error {
	inf.src.Reset(inf.in)
	if useZstd {
		return inf.runZstd()
	}
	if inf.deflate == nil {
		inf.deflate = flate.NewReader(&inf.src)
	} else if err := inf.deflate.(flate.Resetter).Reset(&inf.src, nil); err != nil {
		return err
	}
	_, err := io.ReadFull(inf.deflate, inf.out)
	return err
}

func (inf *inflater) runZstd() error {
	var err error
	if inf.zstd == nil {
		inf.zstd, err = newZstd(&inf.src)
	} else {
		err = inf.zstd.Reset(&inf.src)
	}
	if err != nil {
		return err
	}
	_, err = io.ReadFull(inf.zstd, inf.out)
	return err
}

func newZstd(r io.Reader) (*zstd.Decoder, error) {
	// One goroutine: the caller has its own workers, and a decoder without
	// goroutines needs no Close.
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow))
}

// stream decompresses for a user of the module who has not come through Open.
func stream(r io.Reader, useZstd bool) (io.ReadCloser, error) {
	if !useZstd {
		return flate.NewReader(r), nil
	}
	d, err := newZstd(r)
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
