package vmdk

import (
	"context"
	"fmt"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
)

// streamVersion changes whenever the same input and options give other bytes:
// with the layout, or with a version of the compression module that compresses
// differently. A test holds the bytes of a small image against it.
const streamVersion = 2

// Bounds of Stream.CompressionLevel. 1 to 5 are one, the fastest; see
// deflate.LevelEffort.
const (
	DefaultCompressionLevel = 5
	MinCompressionLevel     = 1
	MaxCompressionLevel     = 9
)

// defaultStreamName is the name that VMware's exporters put into the extent line.
const defaultStreamName = "generated-stream.vmdk"

// maxStreamBytes bounds the grain directory to 8 MiB. VMware's largest disk has
// 62 TiB.
const maxStreamBytes = 64 << 40

// Stream writes streamOptimized disks in one forward pass, as VMware's exporters
// do and vSphere and other clouds take them ("Stream-Optimized Compressed Sparse
// Extents"), header version 3:
//
//	header | descriptor | zeros to 64 KiB |
//	grains, each grain table behind the last of its grains |
//	grain directory | footer | end-of-stream marker
//
// Each structure behind the descriptor has its marker in front and begins at a
// sector. The header's gdOffset says that the true one is in the footer, so that
// nothing is written twice and the writes ascend strictly. Grains stand in guest
// order; grains of zeros, and tables without any grain, are not stored. The
// last grain has its full length, filled up with zeros: readers insist on it.
// The zero value writes with the defaults.
type Stream struct {
	Options
	// CompressionLevel is 1 (fast) to 9 (small), 0 for DefaultCompressionLevel.
	CompressionLevel int
	// Engine copies the bytes. A Digest that it carries must be as far as the
	// checkpoint that Encode is given.
	Engine transfer.Engine
}

var _ formats.Encoder = Stream{}

// Head returns 0: nothing is written last.
func (s Stream) Head(int64) int64 { return 0 }

// Codec names the options and the version of the layout.
func (s Stream) Codec() string {
	return fmt.Sprintf("vmdk streamOptimized v%d level=%d %s", streamVersion, s.level(), s.defaults(defaultStreamName).codec())
}

func (s Stream) level() int {
	if s.CompressionLevel == 0 {
		return DefaultCompressionLevel
	}
	return s.CompressionLevel
}

// Encode writes src to dst. It goes on at the checkpoint if that was made by
// the same codec for a disk of the same size, and starts from the beginning if
// not. The checkpoints that it offers lie between units of the Engine.
func (s Stream) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	o, size, err := s.check(src.Size())
	if err != nil {
		return formats.Summary{}, err
	}
	b := newStreamBuilder(dst, size)
	start := int64(0)
	if from.Codec == s.Codec() && b.restore(from, src.Size()) {
		start = from.Off
	} else {
		b = newStreamBuilder(dst, size)
		if err := b.begin(o, src, s.Codec()); err != nil {
			return formats.Summary{}, err
		}
	}
	engine := s.Engine
	deliver := func(u *transfer.Unit) error {
		if err := b.unit(u); err != nil {
			return err
		}
		end := u.Off + u.Len
		if end%transfer.UnitBytes != 0 {
			return nil
		}
		return dst.Checkpoint(ctx, func() formats.Checkpoint { return b.checkpoint(s.Codec(), end) })
	}
	work := newGrainWorkshop(s.level(), src, engine.NumWorkers())
	if err := engine.Run(ctx, src, start, src.Size(), work.unit, deliver); err != nil {
		return formats.Summary{}, err
	}
	return b.finish()
}

// check checks the options and returns them complete, with the virtual size.
func (s Stream) check(sourceSize int64) (Options, int64, error) {
	o, err := s.complete(defaultStreamName)
	if err != nil {
		return o, 0, err
	}
	if l := s.level(); l < MinCompressionLevel || l > MaxCompressionLevel {
		return o, 0, wrongOption("compression_level", l, fmt.Sprintf("%d to %d", MinCompressionLevel, MaxCompressionLevel))
	}
	size, err := virtualSize(sourceSize, maxStreamBytes, "a streamOptimized VMDK is written for disks of up to 64 TiB")
	return o, size, err
}

// streamTooLong is the error of a file that sector numbers of 32 bits do not reach
// to the end of.
func streamTooLong(pos int64) error {
	return errcode.New(errcode.VirtualSizeTooLarge, "the disk's compressed grains take more than the 2 TiB that a VMDK can address").
		With(errcode.Evidence{Format: string(formats.VMDK), Structure: "grain table", Field: "sector",
			Value: fmt.Sprint(pos / sectorBytes), Limit: fmt.Sprint(int64(maxSector))})
}
