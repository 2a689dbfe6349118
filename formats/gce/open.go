package gce

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// maxHeader bounds header and map in the file: what archive/tar takes, 1 MiB.
const maxHeader = 1 << 20

// openBuffer is how much of the file is read at once.
const openBuffer = 64 << 10

// Open reads a file from which Compute Engine makes an image: gzip, and in it a tar
// file with the one member disk.raw, sparse in the old GNU format or not sparse at
// all. It shares no code with the Encoder.
//
// The disk is a Streamer. Its ReadAt keeps the bytes that it last inflated, as
// many as lim allows for a cache, and begins again at the file's begin to read
// what lies before them. Validate reads the whole file.
func Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	c, err := newCursor(r, size)
	if err != nil {
		return nil, err
	}
	defer c.close()
	room := min(maxHeader, lim.TableBytes)
	head := &recorder{r: c, left: room}
	h, err := tar.NewReader(head).Next()
	switch {
	case head.left < 0:
		return nil, place("sparse map", "length").Refuse(errcode.TableBounds, nil, fmt.Sprintf("%d bytes", room), "the map is too long")
	case errors.Is(err, io.EOF):
		return nil, place("tar header", "").Refuse(errcode.FormatMismatch, nil, "one member "+memberName, "the tar file has no member")
	case errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong):
		return nil, place("tar header", "").Refuse(errcode.FormatMismatch, nil, "", "there is no sound tar header: %v", err)
	case err != nil:
		return nil, c.fault(err)
	}
	m, err := readMap(head.seen.Bytes(), h)
	if err != nil {
		return nil, err
	}
	d := newDisk(r, size, m, int64(head.seen.Len()), lim.CacheBytes)
	if err := d.check(lim); err != nil {
		return nil, err
	}
	return d, nil
}

// place is where in the file something is wrong; offsets within a compressed stream
// say nothing.
func place(structure, field string) formats.Place {
	return formats.Place{Format: container, Structure: structure, Field: field, Off: -1}
}

// check holds the sizes against the limits.
func (d *disk) check(lim formats.Limits) error {
	where := place("tar header", "realsize")
	if d.m.size == 0 {
		return where.Refuse(errcode.VirtualSizeZero, 0, "", "disk.raw is empty")
	}
	if d.m.size > lim.VirtualSize {
		return where.Refuse(errcode.VirtualSizeTooLarge, d.m.size, fmt.Sprint(lim.VirtualSize), "disk.raw has %d bytes", d.m.size)
	}
	most, err := binio.Mul(d.size, lim.ExpansionRatio)
	if err == nil && d.total > most {
		return place("tar header", "size").Refuse(errcode.ExpansionRatio, d.total, fmt.Sprint(most),
			"a file of %d bytes would hold %d", d.size, d.total)
	}
	return nil
}

// A recorder keeps what is read through it, as long as that is allowed.
type recorder struct {
	r    io.Reader
	seen bytes.Buffer
	left int64
}

// Read fails once more than the allowed bytes have been asked for.
func (k *recorder) Read(p []byte) (int, error) {
	if k.left -= int64(len(p)); k.left < 0 {
		return 0, tar.ErrHeader
	}
	n, err := k.r.Read(p)
	k.seen.Write(p[:n])
	return n, err
}

// A cursor inflates the file from its begin on.
type cursor struct {
	in  *bufio.Reader
	gz  *gzip.Reader
	pos int64 // bytes of the tar file read so far
}

func newCursor(r io.ReaderAt, size int64) (*cursor, error) {
	c := &cursor{in: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), openBuffer)}
	var err error
	if c.gz, err = gzip.NewReader(c.in); err != nil {
		return nil, c.fault(err)
	}
	// What would follow the member is not read on but refused at the end.
	c.gz.Multistream(false)
	return c, nil
}

// Read reads the next bytes of the tar file.
func (c *cursor) Read(p []byte) (int, error) {
	n, err := c.gz.Read(p)
	c.pos += int64(n)
	return n, err
}

// full fills p with the next bytes of the tar file, which has to have them.
func (c *cursor) full(p []byte) error {
	if _, err := io.ReadFull(c, p); err != nil {
		return c.fault(err)
	}
	return nil
}

// fault gives an error of the stream its code. The source's own errors keep theirs.
func (c *cursor) fault(err error) error {
	where := place("gzip stream", "")
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return where.Refuse(errcode.Truncated, nil, "", "the file ends before its last byte")
	case errors.Is(err, gzip.ErrHeader):
		return where.Refuse(errcode.FormatMismatch, nil, "", "the file is not compressed with gzip")
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return where.Refuse(errcode.CompressionCorrupt, nil, "", "the gzip stream is damaged: %v", err)
	}
	return fmt.Errorf("read %s: %w", container, err)
}

func (c *cursor) close() { c.gz.Close() }

// maxTail bounds what may follow the data: zeros up to a record of tar's largest
// blocking that is in use, 1 MiB.
const maxTail = 1 << 20

// finish reads the rest of the file, which says nothing: zeros that end the tar
// file, gzip's trailer with the sum, and nothing more.
func (c *cursor) finish() error {
	tail, err := io.ReadAll(io.LimitReader(c, maxTail+1))
	if err != nil {
		return c.fault(err)
	}
	n := int64(len(tail))
	if n < endBytes || n > maxTail || c.pos%tarBlock != 0 || !binio.IsZero(tail) {
		return place("end of the tar file", "").Refuse(errcode.GCPLayout, n, "at least two blocks of zeros", "the tar file does not end behind disk.raw")
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		if err != nil {
			return c.fault(err)
		}
		return place("gzip stream", "").Refuse(errcode.TrailingData, nil, "one member", "there are bytes behind the gzip stream")
	}
	return nil
}
