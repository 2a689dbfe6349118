package qcow2

import (
	"context"
	"fmt"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
)

// codecVersion changes whenever the same input and options give other bytes:
// with the layout, or with a version of the compression module that compresses
// differently. A test holds the bytes of a small image against it.
const codecVersion = 3

// Values of Encoder.Compression.
const (
	CompressionNone = "none"
	CompressionZlib = "zlib"
	CompressionZstd = "zstd"
)

// An Encoder writes qcow2 images in one forward pass:
//
//	header | clusters, each L2 table behind the last cluster of its range,
//	refcount blocks as their range fills | L1 table | last refcount blocks |
//	refcount table
//
// Clusters stand in guest order, except that within 2 MiB of the guest the
// compressed ones, which are packed byte by byte, come before the plain ones,
// which begin at a cluster. Clusters of zeros are not stored. The zero value
// writes plain clusters of 64 KiB.
type Encoder struct {
	// ClusterBits is the base-2 logarithm of the cluster size, 9 to 21; 0
	// means DefaultClusterBits.
	ClusterBits int
	// Compression is "none" (or ""), "zlib" or "zstd". A cluster that does not
	// become smaller is stored plainly.
	Compression string
	// Engine copies the bytes. A Digest that it carries must be as far as the
	// checkpoint that Encode is given.
	Engine transfer.Engine
}

var _ formats.Encoder = Encoder{}

// Head returns the cluster of the header, which is written last.
func (e Encoder) Head(int64) int64 { return 1 << e.bits() }

// bits returns the cluster bits; Encode refuses any that are out of bounds.
func (e Encoder) bits() int {
	if e.ClusterBits < minClusterBits || e.ClusterBits > maxClusterBits {
		return DefaultClusterBits
	}
	return e.ClusterBits
}

// Codec names the options and the version of the layout.
func (e Encoder) Codec() string {
	c := e.Compression
	if c == "" {
		c = CompressionNone
	}
	return fmt.Sprintf("qcow2 v%d cluster_bits=%d compression=%s", codecVersion, e.bits(), c)
}

// Encode writes src to dst. It goes on at the checkpoint if that was made by
// the same codec for a disk of the same size, and starts from the beginning if
// not. The checkpoints that it offers lie between units of the Engine.
func (e Encoder) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	t, err := e.target(src.Size())
	if err != nil {
		return formats.Summary{}, err
	}
	b := newBuilder(dst, t)
	start := int64(0)
	if from.Codec == e.Codec() && b.restore(from, src.Size()) {
		start = from.Off
	} else {
		b = newBuilder(dst, t)
	}
	engine := e.Engine
	deliver := func(u *transfer.Unit) error {
		if err := b.unit(u); err != nil {
			return err
		}
		end := u.Off + u.Len
		if end%transfer.UnitBytes != 0 {
			return nil
		}
		return dst.Checkpoint(ctx, func() formats.Checkpoint { return b.checkpoint(e.Codec(), end) })
	}
	work := newWorkshop(t, src, engine.NumWorkers())
	if err := engine.Run(ctx, src, start, src.Size(), work.unit, deliver); err != nil {
		return formats.Summary{}, err
	}
	return b.finish()
}

// target checks the options.
func (e Encoder) target(size int64) (target, error) {
	t, err := newTarget(e.ClusterBits, size)
	if err != nil {
		return t, err
	}
	switch e.Compression {
	case "", CompressionNone:
		t.compression = compressNot
	case CompressionZlib:
		t.compression = compressDeflate
	case CompressionZstd:
		t.compression, t.features = compressZstd, featureCompression
	default:
		return t, errcode.New(errcode.TargetOption, "qcow2 compression %q", e.Compression).
			With(limited(evidence("option", "compression", 0, e.Compression), "none, zlib, zstd"))
	}
	return t, nil
}
