// Package formats says what a virtual disk is to ingest: its guest view (Disk),
// the drivers that read one (Format) and those that write one (Encoder,
// Planner), the limits that bound them and the errors that they return.
//
// The words: the virtual size is what the guest sees, the file size is the
// bytes of the file; a guest offset (off) counts in the first, a host offset
// (hostOff) in the second. An extent is a run of guest bytes in one state. A
// backing file, a parent, a data file or an extent file is another file that
// an image names: it is reported in Info and never opened.
//
// No package below this one opens a file, runs a program or reaches a network;
// a test keeps it so. Drivers get an io.ReaderAt and a size.
package formats

import (
	"context"
	"io"
	"iter"
)

// A Name is a disk format's name in Glance's vocabulary (disk_format).
type Name string

// The disk formats that have a name here. Not all of them can be read.
const (
	Raw       Name = "raw"
	QCOW2     Name = "qcow2"
	VMDK      Name = "vmdk"
	VHD       Name = "vhd"
	VHDX      Name = "vhdx"
	VDI       Name = "vdi"
	ISO       Name = "iso"
	QED       Name = "qed"
	QCOW1     Name = "qcow"
	Parallels Name = "ploop"
	DMG       Name = "dmg"
	LUKS      Name = "luks"
)

// A State says what a run of guest bytes is.
type State uint8

// The states of an extent. Zero and Hole both read as zeros.
const (
	Data State = iota // bytes are stored
	Zero              // stored as zeros: allocated, or marked as zero
	Hole              // never written
)

// String returns the state's name.
func (s State) String() string {
	return [...]string{"data", "zero", "hole"}[s]
}

// An Extent is a run of guest bytes in one state.
type Extent struct {
	Off        int64 // guest offset, bytes
	Len        int64 // bytes, > 0
	State      State
	Compressed bool  // stored compressed; then HostOff is -1
	HostOff    int64 // host offset of Off when the run is stored plainly and in one piece, else -1
}

// End returns the guest offset behind the extent.
func (e Extent) End() int64 { return e.Off + e.Len }

// A Disk is the guest view of one opened image. Holes and zeros read as zeros.
// ReadAt follows io.ReaderAt and never returns a byte beyond Size. All methods
// are safe for concurrent use.
type Disk interface {
	io.ReaderAt
	// Close lets go of what the disk itself holds. It does not close the
	// reader that the disk was opened on.
	Close() error
	// Size returns the virtual size in bytes.
	Size() int64
	// ExtentAt returns a run of one state that holds off, 0 <= off < Size.
	// It may begin before off and need not be as long as possible: Extents
	// clips and merges.
	ExtentAt(off int64) (Extent, error)
	// Info returns the facts of the header.
	Info() Info
}

// A Validator is a Disk that can check its whole structure: every table read,
// bounds, overlaps, truncation. It returns the first error; what is odd but
// harmless goes into the findings.
type Validator interface {
	Validate(ctx context.Context) ([]Finding, error)
}

// A DataFinder is a reader that knows its own holes, such as a sparse file.
type DataFinder interface {
	// NextData returns the first run of data at or after off, start == end
	// when only holes follow.
	NextData(off int64) (start, end int64, err error)
}

// Info holds the facts of an image's header.
type Info struct {
	Format      Name   `json:"disk_format"`
	Subformat   string `json:"subformat,omitempty"`   // such as "streamOptimized", "dynamic", "v3"
	VirtualSize int64  `json:"virtual_size"`          // bytes
	FileSize    int64  `json:"file_size"`             // bytes
	BlockSize   int64  `json:"block_size,omitempty"`  // cluster, grain or block, bytes
	Compression string `json:"compression,omitempty"` // "deflate", "zstd", or ""
	Creator     string `json:"creator,omitempty"`     // program that wrote it, as the header says
	// HolesKnown is true if ExtentAt tells holes from data; a raw disk over a
	// plain reader is one long run of data.
	HolesKnown bool `json:"holes_known"`
	// Names are other files that the image names. They are never opened.
	Names []string `json:"-"`
	// Findings are what is worth telling about the header.
	Findings []Finding `json:"-"`
	// Unreadable says why the guest's data cannot be read, nil if it can.
	Unreadable error `json:"-"`
}

// A Match is a format's answer to whether a file may be of it.
type Match struct {
	OK        bool
	Subformat string // if the head or tail tells
	Offset    int64  // host offset of the magic, bytes
	Value     string // the magic as found, for evidence
}

// HeadLen and TailLen are how many bytes of a file's begin and end Match is
// given, or the whole file if it is shorter. The head reaches over the ISO 9660
// volume descriptor at 32 KiB; the tail over a VMDK footer of 1536 bytes.
const (
	HeadLen = 68 << 10
	TailLen = 4 << 10
)

// A Format reads one disk format. It is a stateless value.
type Format interface {
	Name() Name
	// Match looks at the first HeadLen and the last TailLen bytes only.
	Match(head, tail []byte, size int64) Match
	// Open parses and checks the header and returns the guest view. An image
	// that is of this format but must be refused yields an *errcode.Error. An
	// image whose header is sound but whose data cannot be read (encrypted,
	// backing file) may yield a Disk whose Info().Unreadable is set.
	Open(r io.ReaderAt, size int64, lim Limits) (Disk, error)
}

// A Sink takes an encoder's output.
type Sink interface {
	io.WriterAt
	// Checkpoint is called where the encoder could be resumed. If one is due,
	// the sink calls state, makes everything written durable, and keeps the
	// checkpoint with it; otherwise it returns at once.
	Checkpoint(ctx context.Context, state func() Checkpoint) error
}

// A Checkpoint is where an encoder can go on: everything before Off has been
// encoded, every output byte before HostOff has been written, except the head
// that the encoder writes last. The zero value means the start.
type Checkpoint struct {
	Codec   string `json:"codec"`           // codec, options and version; another one starts again
	Off     int64  `json:"off"`             // guest offset, bytes
	HostOff int64  `json:"host_off"`        // output offset, bytes
	State   []byte `json:"state,omitempty"` // the encoder's tables, private to it
}

// A Summary says what an encoder or a plan wrote.
type Summary struct {
	Format      Name  `json:"disk_format"`
	FileSize    int64 `json:"file_size"`    // bytes
	VirtualSize int64 `json:"virtual_size"` // bytes, the source's rounded up as the format demands
}

// An Encoder writes a disk in one forward pass. The same input, options and
// codec version give the same bytes. Apart from the first Head bytes, which it
// writes last, its writes ascend without gaps of data, so that a store without
// random writes can take them. A checkpoint that does not fit starts again.
type Encoder interface {
	Encode(ctx context.Context, dst Sink, src Disk, from Checkpoint) (Summary, error)
	// Head is how many bytes at the begin of the output are written last, given
	// the source's virtual size in bytes.
	Head(size int64) int64
	// Codec names format, options and version: what makes the output's bytes.
	// Checkpoints of another codec do not fit.
	Codec() string
}

// A Planner lays the output out from the extents alone.
type Planner interface {
	Plan(ctx context.Context, src Disk) (Plan, error)
}

// A Plan is an output file as a function of the source: any range of it can be
// read at any time, concurrently. Bytes that are neither metadata nor located
// data are zeros.
type Plan interface {
	io.ReaderAt
	DataFinder
	Size() int64
	Summary() Summary
	// Metadata yields the ranges of the output that hold no guest data, in
	// ascending order.
	Metadata() iter.Seq[Range]
	// Locate returns where in the output the guest byte at off lies, and how
	// many bytes from there on lie in one piece. hostOff is -1 for a run that
	// the output does not store.
	Locate(off int64) (hostOff, n int64)
}

// A Range is a half-open run of host bytes.
type Range struct {
	Off int64 `json:"off"`
	End int64 `json:"end"`
}

// Len returns the number of bytes in the range.
func (r Range) Len() int64 { return r.End - r.Off }
