package gce

import (
	"context"
	"fmt"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// version changes whenever the same input and options give other bytes: with the
// layout, or with a version of the compression module that compresses
// differently. A test holds the bytes of a small image against it.
const version = 2

// Bounds of Encoder.Level.
const (
	DefaultLevel = 5
	MinLevel     = 1
	MaxLevel     = 9
)

// Bounds of Encoder.Align, bytes.
const (
	DefaultAlign = 1 << 30 // what Google demands
	MinAlign     = 512
	MaxAlign     = 1 << 40
)

// maxBytes is the largest virtual size: that of Google's largest disks, 64 TiB
// (https://cloud.google.com/compute/docs/disks).
const maxBytes = 64 << 40

// An Encoder writes disk.raw into a tar.gz in one forward pass. The sparse map
// comes first, from the source's extents; holes shorter than 64 KiB are written as
// zeros. A source that does not know its holes is one run. Nothing is written
// last. The zero value writes with the defaults.
type Encoder struct {
	// Level is that of the compression, 1 (fast) to 9 (small); 0 means
	// DefaultLevel.
	Level int
	// Align is what the virtual size is rounded up to a multiple of: bytes, a
	// multiple of 512, up to 1 TiB; 0 means DefaultAlign.
	Align int64
	// Engine copies the bytes. A Digest that it carries must be as far as the
	// checkpoint that Encode is given.
	Engine transfer.Engine
}

var _ formats.Encoder = Encoder{}

// Head returns 0: nothing is written last.
func (e Encoder) Head(int64) int64 { return 0 }

// Codec names the options and the version of the layout.
func (e Encoder) Codec() string {
	e = e.defaults()
	return fmt.Sprintf("gce tar.gz v%d level=%d align=%d", version, e.Level, e.Align)
}

// defaults puts the defaults in.
func (e Encoder) defaults() Encoder {
	if e.Level == 0 {
		e.Level = DefaultLevel
	}
	if e.Align == 0 {
		e.Align = DefaultAlign
	}
	return e
}

// Encode writes src to dst. It goes on at the checkpoint if that was made by the
// same codec for a disk of the same size and map, and starts from the beginning if
// not. The checkpoints that it offers lie between units of the Engine.
func (e Encoder) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	e = e.defaults()
	size, err := e.virtualSize(src.Size())
	if err != nil {
		return formats.Summary{}, err
	}
	m, err := mapOf(ctx, src, size)
	if err != nil {
		return formats.Summary{}, err
	}
	b, err := newBuilder(dst, m, e.Level)
	if err != nil {
		return formats.Summary{}, err
	}
	start := int64(0)
	if from.Codec == e.Codec() && b.restore(from, src.Size()) {
		start = from.Off
	} else if err := b.begin(); err != nil {
		return formats.Summary{}, err
	}
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
	work := newWorkshop(m, e.Level, e.Engine.NumWorkers())
	if err := e.Engine.Run(ctx, src, start, src.Size(), work.unit, deliver); err != nil {
		return formats.Summary{}, err
	}
	return b.finish(src.Size())
}

// virtualSize checks the options and returns the size of disk.raw.
func (e Encoder) virtualSize(source int64) (int64, error) {
	switch {
	case e.Level < MinLevel || e.Level > MaxLevel:
		return 0, wrongOption("compression_level", e.Level, fmt.Sprintf("%d to %d", MinLevel, MaxLevel))
	case e.Align < MinAlign || e.Align > MaxAlign || e.Align%MinAlign != 0:
		return 0, wrongOption("align", e.Align, "a multiple of 512 bytes, at most 1 TiB")
	case source <= 0:
		return 0, errcode.New(errcode.VirtualSizeZero, "the source's disk has %d bytes", source).
			With(errcode.Evidence{Format: container, Structure: "source", Field: "virtual size", Value: fmt.Sprint(source)})
	}
	size, err := binio.AlignUp(source, e.Align)
	if err != nil || size > maxBytes {
		return 0, errcode.New(errcode.VirtualSizeTooLarge, "a disk of %d bytes does not fit: Compute Engine's disks have up to 64 TiB", source).
			With(errcode.Evidence{Format: container, Structure: "source", Field: "virtual size", Value: fmt.Sprint(source), Limit: fmt.Sprint(int64(maxBytes))})
	}
	return size, nil
}

// wrongOption says what is right for an option.
func wrongOption(name string, value any, right string) error {
	return errcode.New(errcode.TargetOption, "gce: option %s takes %s", name, right).
		With(errcode.Evidence{Format: container, Structure: "option", Field: name, Value: fmt.Sprint(value), Limit: right})
}
