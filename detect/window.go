package detect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// volumeOff is where a VMFS volume's LVM header stands, far behind the head.
const volumeOff = 1 << 20

// A window is all that detection looks at: the first HeadLen bytes, the last
// TailLen bytes, and four bytes at volumeOff.
type window struct {
	size   int64
	head   []byte
	tail   []byte
	volume []byte // nil if the file ends before
}

// readWindow reads each part once.
func readWindow(r io.ReaderAt, size int64) (window, error) {
	w := window{size: size}
	parts := []struct {
		p        *[]byte
		off, len int64
	}{
		{&w.head, 0, min(size, formats.HeadLen)},
		{&w.tail, max(0, size-formats.TailLen), min(size, formats.TailLen)},
		{&w.volume, volumeOff, 4},
	}
	for _, part := range parts {
		if part.off+part.len > size {
			continue
		}
		p, err := binio.ReadRange(r, size, part.off, part.len, formats.HeadLen)
		if err != nil {
			return window{}, readError(err, part.off, part.len)
		}
		*part.p = p
	}
	return w, nil
}

// readError keeps the code of an error that has one: the source knows best.
func readError(err error, off, n int64) error {
	if _, ok := errcode.As(err); ok {
		return err
	}
	code, message := errcode.SourceUnreachable, "%d bytes at offset %d cannot be read"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		code, message = errcode.Truncated, "the file ends within the %d bytes at offset %d"
	}
	return errcode.Wrap(err, code, message, n, off).With(errcode.Evidence{Offset: errcode.At(off)})
}

// at reports whether the head has the magic at off.
func (w window) at(off int, magic string) bool {
	return off+len(magic) <= len(w.head) && string(w.head[off:off+len(magic)]) == magic
}

// fromEnd reports whether the magic stands back bytes before the end.
func (w window) fromEnd(back int, magic string) bool {
	return back <= len(w.tail) && bytes.HasPrefix(w.tail[len(w.tail)-back:], []byte(magic))
}

// be32 returns the big-endian word of the head at off, 0 behind its end.
func (w window) be32(off int) uint32 {
	if off+4 > len(w.head) {
		return 0
	}
	return binary.BigEndian.Uint32(w.head[off:])
}

// text returns the head's first n bytes with ASCII letters in lower case, for
// text formats. Bytes keep their places.
func (w window) text(n int) string {
	p := bytes.Clone(w.head[:min(n, len(w.head))])
	for i, c := range p {
		if 'A' <= c && c <= 'Z' {
			p[i] = c + 'a' - 'A'
		}
	}
	return string(p)
}
