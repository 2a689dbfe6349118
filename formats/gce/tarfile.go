package gce

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A tarDisk is disk.raw in a tar file that is not compressed.
type tarDisk struct {
	r    io.ReaderAt
	size int64 // of the file, bytes
	d    *disk
}

var (
	_ formats.Disk       = (*tarDisk)(nil)
	_ formats.DataFinder = (*tarDisk)(nil)
)

// OpenTar reads what Open does, once gzip is taken off it: a tar file with the one
// member disk.raw. Its bytes are read at random and its holes are known.
func OpenTar(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	room := min(maxHeader, lim.TableBytes)
	head := &recorder{r: io.NewSectionReader(r, 0, size), left: room}
	h, err := tar.NewReader(head).Next()
	switch {
	case head.left < 0:
		return nil, place("sparse map", "length").Refuse(errcode.TableBounds, nil, fmt.Sprintf("%d bytes", room), "the map is too long")
	case errors.Is(err, io.EOF):
		return nil, place("tar header", "").Refuse(errcode.GCPLayout, nil, "one member "+memberName, "the tar file has no member")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, place("tar header", "").Refuse(errcode.Truncated, nil, "", "the tar file ends within its header")
	case errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong):
		return nil, place("tar header", "").Refuse(errcode.GCPLayout, nil, "", "there is no sound tar header: %v", err)
	case err != nil:
		return nil, err
	}
	m, err := readMap(head.seen.Bytes(), h)
	if e, ok := errcode.As(err); ok && e.Code == errcode.FormatMismatch {
		out := *e
		out.Code = errcode.GCPLayout
		err = &out
	}
	if err != nil {
		return nil, err
	}
	t := &tarDisk{r: r, size: size, d: newDisk(r, size, m, int64(head.seen.Len()), 0)}
	if m.size > 0 || len(m.runs) > 0 {
		if err := t.ends(); err != nil {
			return nil, err
		}
	}
	return t, t.d.check(lim)
}

// ends checks that nothing but the zeros that end a tar file follow the member.
func (t *tarDisk) ends() error {
	end, err := binio.Add(t.d.head, t.d.total)
	if err == nil {
		end, err = binio.AlignUp(end, tarBlock)
	}
	where := place("end of the tar file", "")
	if err != nil || end > t.size {
		return where.Refuse(errcode.Truncated, t.size, "", "disk.raw reaches past the end of the tar file")
	}
	n := t.size - end
	if n < endBytes || n > maxTail {
		return where.Refuse(errcode.GCPLayout, n, "at least two blocks of zeros", "the tar file does not end behind disk.raw")
	}
	tail, err := binio.ReadRange(t.r, t.size, end, n, maxTail)
	if err != nil {
		return where.Unread(err)
	}
	if !binio.IsZero(tail) {
		return where.Refuse(errcode.GCPLayout, nil, "one member "+memberName, "something follows disk.raw in the tar file")
	}
	return nil
}

// Size returns the size of disk.raw.
func (t *tarDisk) Size() int64 { return t.d.Size() }

// Close does nothing: the file is the caller's.
func (t *tarDisk) Close() error { return nil }

// Info returns the facts of the header.
func (t *tarDisk) Info() formats.Info {
	return formats.Info{Format: formats.Raw, Subformat: "tar", VirtualSize: t.d.m.size, FileSize: t.size, HolesKnown: true}
}

// ExtentAt returns the run of the map, or the hole, that holds off.
func (t *tarDisk) ExtentAt(off int64) (formats.Extent, error) {
	e, err := t.d.ExtentAt(off)
	if err == nil && e.State == formats.Data {
		e.HostOff = t.d.head + t.d.starts[t.d.runAt(e.Off)]
	}
	return e, err
}

// ReadAt reads guest bytes.
func (t *tarDisk) ReadAt(p []byte, off int64) (int, error) {
	return formats.ReadRuns(p, off, t.d.m.size, func(p []byte, off int64) (int, error) {
		e, err := t.ExtentAt(off)
		if err != nil {
			return 0, err
		}
		p = p[:min(int64(len(p)), e.End()-off)]
		if e.State != formats.Data {
			clear(p)
			return len(p), nil
		}
		return t.r.ReadAt(p, e.HostOff+off-e.Off)
	})
}

// NextData returns the first run of the map that ends behind off.
func (t *tarDisk) NextData(off int64) (start, end int64, err error) {
	runs := t.d.m.runs
	i := sort.Search(len(runs), func(i int) bool { return runs[i].end > off })
	if i == len(runs) {
		return t.d.m.size, t.d.m.size, nil
	}
	return max(off, runs[i].off), runs[i].end, nil
}
