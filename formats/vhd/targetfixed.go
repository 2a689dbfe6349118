package vhd

import (
	"context"
	"fmt"
	"io"
	"iter"

	"ingest/formats"
	"ingest/internal/errcode"
)

// What Azure takes, of fixed disks only. Sizes are virtual sizes in bytes.
const (
	// AzureAlign: "All VHDs on Azure must have a virtual size aligned to 1 MB".
	// https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic
	AzureAlign = 1 << 20
	// AzureMinSize and AzureMaxSize bound an upload to a managed disk: 20972032
	// to 35183298347520 bytes with the footer's 512. The page calls the second
	// 32 TiB; it is 1 GiB less.
	// https://learn.microsoft.com/dotnet/api/azure.resourcemanager.compute.models.diskcreationdata.uploadsizebytes
	AzureMinSize = 20 << 20
	AzureMaxSize = 32767 << 30
)

// maxAlign is the largest unit that a cloud asks for, a GiB.
const maxAlign = 1 << 30

// A Fixed is a fixed disk that is to be written: the guest's bytes, zeros up to
// the virtual size, and the footer. It is a formats.Planner, which needs no
// encoder beside it: the guest's bytes lie where the guest has them. Azure takes
// disks of more than 2040 GiB, QEMU does not. The zero value has the defaults.
type Fixed struct {
	Align   int64  // the virtual size is a multiple of it, bytes; a multiple of 512, up to 1 GiB; 0 for 512
	MinSize int64  // a smaller source is rounded up to it, bytes; 0 for none
	MaxSize int64  // a larger source is refused, bytes; 0 for 64 TiB
	UUID    string // the disk's unique id; "" for one that is derived from the disk
}

var _ formats.Planner = Fixed{}

// Azure returns the fixed disk that Azure takes.
func Azure() Fixed {
	return Fixed{Align: AzureAlign, MinSize: AzureMinSize, MaxSize: AzureMaxSize}
}

// Codec names the options that make the output's bytes, and the version of the
// layout.
func (f Fixed) Codec() string {
	return fmt.Sprintf("vhd fixed v%d align=%d min_size=%d%s", writeVersion, f.complete().Align, f.MinSize, idSetting(f.UUID))
}

// complete returns the options with their defaults.
func (f Fixed) complete() Fixed {
	if f.Align == 0 {
		f.Align = sectorBytes
	}
	if f.MaxSize == 0 {
		f.MaxSize = maxBytes
	}
	return f
}

// Check returns errcode.TargetOption for options that are wrong, or wrong together.
func (f Fixed) Check() error {
	_, err := f.size(sectorBytes)
	if errcode.Of(err) == errcode.VirtualSizeTooLarge {
		return badOption("align", f.Align, "no more than max_size")
	}
	return err
}

// Fits returns the error of a disk of size bytes that the options do not admit.
func (f Fixed) Fits(size int64) error {
	_, err := f.size(size)
	return err
}

// size checks the options and returns the virtual size of a source.
func (f Fixed) size(source int64) (int64, error) {
	f = f.complete()
	switch {
	case f.Align < sectorBytes || f.Align > maxAlign || f.Align%sectorBytes != 0:
		return 0, badOption("align", f.Align, fmt.Sprintf("a multiple of 512, up to %d", maxAlign))
	case f.MaxSize < sectorBytes || f.MaxSize > maxBytes:
		return 0, badOption("max_size", f.MaxSize, fmt.Sprintf("%d to %d", sectorBytes, int64(maxBytes)))
	case f.MinSize < 0 || f.MinSize > f.MaxSize:
		return 0, badOption("min_size", f.MinSize, fmt.Sprintf("0 to %d", f.MaxSize))
	case source > 0:
		source = max(source, f.MinSize)
	}
	return virtualSize(source, f.Align, f.MaxSize)
}

// Plan returns the file of src. The plan reads src whenever its data are read;
// Plan itself reads the first and the last MiB, unless option UUID is set.
func (f Fixed) Plan(ctx context.Context, src formats.Disk) (formats.Plan, error) {
	size, err := f.size(src.Size())
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var derived formats.ID
	if f.UUID == "" {
		// Nothing of how the source stores its bytes is in the id: a disk gives
		// the same file whatever format it comes in.
		if derived, err = formats.Identify(src, f.Codec()); err != nil {
			return nil, err
		}
	}
	id, err := uniqueID(f.UUID, derived)
	if err != nil {
		return nil, err
	}
	return &fixedPlan{src: src, size: size, footer: newFooter(typeFixed, size, noOffset, id)}, nil
}

// fixedPlan is the file of a fixed disk. It is safe for concurrent use.
type fixedPlan struct {
	src    formats.Disk
	size   int64 // virtual size, bytes
	footer []byte
}

var _ formats.Plan = (*fixedPlan)(nil)

// Size returns the file size in bytes.
func (p *fixedPlan) Size() int64 { return p.size + footerBytes }

// Summary says what the plan writes.
func (p *fixedPlan) Summary() formats.Summary {
	return formats.Summary{Format: formats.VHD, FileSize: p.Size(), VirtualSize: p.size}
}

// Metadata yields the footer.
func (p *fixedPlan) Metadata() iter.Seq[formats.Range] {
	return func(yield func(formats.Range) bool) { yield(formats.Range{Off: p.size, End: p.Size()}) }
}

// Locate returns the guest offset itself: every byte is stored where it lies.
func (p *fixedPlan) Locate(off int64) (hostOff, n int64) {
	if off < 0 || off >= p.size {
		return -1, 0
	}
	return off, p.size - off
}

// NextData returns the source's next extent of data, and behind them the footer.
func (p *fixedPlan) NextData(off int64) (start, end int64, err error) {
	if off < 0 {
		return 0, 0, errcode.New(errcode.BadRequest, "next data at %d", off)
	}
	for e, err := range formats.Extents(p.src, off, p.src.Size()) {
		if err != nil {
			return 0, 0, err
		}
		if e.State == formats.Data {
			return e.Off, e.End(), nil
		}
	}
	return min(max(off, p.size), p.Size()), p.Size(), nil
}

// ReadAt computes the bytes of the file at off.
func (p *fixedPlan) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errcode.New(errcode.BadRequest, "read at negative offset %d", off)
	}
	if off >= p.Size() {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.Size()-off))
	data := b[:max(0, min(int64(n), p.src.Size()-off))]
	if len(data) > 0 {
		if _, err := formats.ReadData(p.src, data, off); err != nil {
			return 0, fmt.Errorf("read guest data at %d: %w", off, err)
		}
	}
	clear(b[len(data):n])
	if end := off + int64(n); end > p.size {
		at := max(off, p.size)
		copy(b[at-off:n], p.footer[at-p.size:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
