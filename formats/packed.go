package formats

// A Codec says how the bytes of a packed run are compressed.
type Codec uint8

// The codecs. None of them says more than the stream itself: what a format puts
// around it is dealt with by PackedReader.Stream.
const (
	CodecNone    Codec = iota
	CodecDeflate       // RFC 1951: neither header nor checksum
	CodecZlib          // RFC 1950: deflate with header and checksum
	CodecZstd          // RFC 8878: frames that have no dictionary
)

// String returns the codec's name.
func (c Codec) String() string {
	if names := [...]string{"none", "deflate", "zlib", "zstd"}; int(c) < len(names) {
		return names[c]
	}
	return "unknown"
}

// A Packed is a run of guest bytes that are stored compressed in one piece: a
// cluster or a grain.
type Packed struct {
	Off int64 // guest offset of the first byte; a multiple of Size
	Len int64 // guest bytes that the stream stands for: Size, but never beyond the virtual size
	// Size is how many bytes the stream decodes to. A stream that Len cuts at
	// the disk's end may decode to any number from Len to Size.
	Size int64

	// HostOff and HostLen are the bytes of the file to read. They lie inside
	// the file, hold the whole stream, and may hold more: what the format puts
	// before it, and others' bytes behind it. Neighbours may overlap there.
	HostOff int64
	HostLen int64

	Codec Codec
	// Window is the base-2 logarithm of how far back the format lets a stream
	// refer, in bytes; 0 if only the stream says so. A decoder that has all of
	// its output at hand needs no window. Whoever passes a stream on to a
	// format of a smaller window has to know better.
	Window uint8
}

// HostEnd returns the host offset behind the bytes to read.
func (p Packed) HostEnd() int64 { return p.HostOff + p.HostLen }

// A PackedReader is a Disk that gives away compressed bytes as they are stored,
// to be passed on or to be inflated elsewhere. The use of it:
//
//	PackedAt, for one run or for several that follow each other;
//	ReadHost, once for all whose host ranges lie close together;
//	Stream, which finds each one's stream within what was read.
//
// Packed runs in guest order mostly lie in ascending order in the file too, but
// need not: qemu-img compresses several at a time and stores them as they get
// ready.
//
// A stream is hostile bytes: decode it into Size bytes at most. What cannot be
// found or decoded to Len bytes is to be read with ReadAt, which has the last
// word on what the guest sees and gives errors their codes.
//
// All methods are safe for concurrent use. They allocate nothing and take no
// lock unless a table has to be read.
type PackedReader interface {
	// PackedAt returns the packed run that holds off, 0 <= off < Size, and
	// true; false if the byte at off is not stored compressed. Of the file it
	// reads tables only.
	PackedAt(off int64) (Packed, bool, error)
	// ReadHost fills buf from a host offset. The range must lie inside the
	// file.
	ReadHost(buf []byte, hostOff int64) error
	// Stream returns the compressed stream in stored, which holds the HostLen
	// bytes from p.HostOff on. The result is part of stored, begins with the
	// stream, and ends with it unless only a decoder can tell where that is.
	Stream(p Packed, stored []byte) ([]byte, error)
}
