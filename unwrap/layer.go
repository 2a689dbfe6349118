package unwrap

import (
	"io"
	"strings"
)

// A Layer is a compression around a file.
type Layer string

// The layers that Open takes off, and Zip, which OpenZip does.
const (
	Gzip  Layer = "gzip"
	XZ    Layer = "xz"
	Zstd  Layer = "zstd"
	Bzip2 Layer = "bzip2"
	Zip   Layer = "zip"
)

// The magics, as far as they are fixed.
const (
	magicGzip  = "\x1f\x8b\x08"
	magicXZ    = "\xfd7zXZ\x00"
	magicZstd  = "\x28\xb5\x2f\xfd"
	magicBzip2 = "BZh"
)

// Match returns the layer that a file with this head has. Ten bytes are enough.
func Match(head []byte) (Layer, bool) {
	h := string(head)
	switch {
	case strings.HasPrefix(h, magicGzip):
		return Gzip, true
	case strings.HasPrefix(h, magicXZ):
		return XZ, true
	case strings.HasPrefix(h, magicZstd), isSkippable(head):
		return Zstd, true
	case isBzip2(h):
		return Bzip2, true
	}
	return "", false
}

// isSkippable reports whether a skippable frame of zstd begins here (RFC 8878,
// 3.1.2).
func isSkippable(p []byte) bool {
	return len(p) >= 4 && p[0]&0xf0 == 0x50 && string(p[1:4]) == "\x2a\x4d\x18"
}

// isBzip2 asks for the magic of the first block too, or of the end if there is
// none: the three letters alone also begin ordinary text.
func isBzip2(h string) bool {
	if !strings.HasPrefix(h, magicBzip2) || len(h) < 10 || h[3] < '1' || h[3] > '9' {
		return false
	}
	return h[4:10] == "\x31\x41\x59\x26\x53\x59" || h[4:10] == "\x17\x72\x45\x38\x50\x90"
}

// nested returns the name of a compression that the head of what came out shows,
// those included that are not taken off.
func nested(head []byte) string {
	if l, ok := Match(head); ok {
		return string(l)
	}
	for _, m := range []struct{ name, magic string }{
		{"zip", "PK\x03\x04"}, {"7z", "7z\xbc\xaf\x27\x1c"}, {"lz4", "\x04\x22\x4d\x18"}, {"lz4", "\x02\x21\x4c\x18"},
		{"lzip", "LZIP\x01"}, {"lzop", "\x89LZO\x00"}, {"compress", "\x1f\x9d"},
	} {
		if strings.HasPrefix(string(head), m.magic) {
			return m.name
		}
	}
	return ""
}

// decoderOf returns the layer's decoder, nil if there is none.
func decoderOf(l Layer, in *input, lim Limits) io.Reader {
	switch l {
	case Gzip:
		return &gzipReader{in: in}
	case XZ:
		return newXZ(in, lim.Dictionary)
	case Zstd:
		return newZstd(in, lim.Window)
	case Bzip2:
		return newBzip2(in)
	}
	return nil
}
