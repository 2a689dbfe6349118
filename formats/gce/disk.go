package gce

import (
	"context"
	"fmt"
	"io"
	"sort"
	"sync"

	"ingest/formats"
)

// A disk is an opened file.
type disk struct {
	r     io.ReaderAt
	size  int64 // of the file, bytes
	m     sparseMap
	head  int64 // offset of the data in the tar file
	cache int64 // most bytes to keep
	// starts says for each run where its bytes begin among the stored ones, of
	// which there are total.
	starts []int64
	total  int64

	mu     sync.Mutex
	cur    *cursor
	window window
}

var (
	_ formats.Streamer  = (*disk)(nil)
	_ formats.Validator = (*disk)(nil)
)

func newDisk(r io.ReaderAt, size int64, m sparseMap, head, cache int64) *disk {
	d := &disk{r: r, size: size, m: m, head: head, cache: cache, starts: make([]int64, len(m.runs))}
	for i, r := range m.runs {
		d.starts[i] = d.total
		d.total += r.end - r.off
	}
	return d
}

// Size returns the size of disk.raw.
func (d *disk) Size() int64 { return d.m.size }

// Info returns the facts of the header.
func (d *disk) Info() formats.Info {
	return formats.Info{Format: formats.Raw, Subformat: "tar.gz", VirtualSize: d.m.size, FileSize: d.size, Compression: "deflate", HolesKnown: true}
}

// Close lets go of the inflated bytes.
func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rewind()
	return nil
}

// rewind puts the cursor away; mu is held.
func (d *disk) rewind() {
	if d.cur != nil {
		d.cur.close()
	}
	d.cur, d.window = nil, window{}
}

// runAt returns the index of the first run that ends behind off.
func (d *disk) runAt(off int64) int {
	return sort.Search(len(d.m.runs), func(i int) bool { return d.m.runs[i].end > off })
}

// ExtentAt returns the run of the map, or the hole, that holds off. Data have no
// host offset: they lie in one compressed stream.
func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.m.size {
		return formats.Extent{}, fmt.Errorf("extent at %d of a disk of %d bytes", off, d.m.size)
	}
	i := d.runAt(off)
	if i < len(d.m.runs) && d.m.runs[i].off <= off {
		r := d.m.runs[i]
		return formats.Extent{Off: r.off, Len: r.end - r.off, State: formats.Data, HostOff: -1}, nil
	}
	begin, end := int64(0), d.m.size
	if i > 0 {
		begin = d.m.runs[i-1].end
	}
	if i < len(d.m.runs) {
		end = d.m.runs[i].off
	}
	return formats.Extent{Off: begin, Len: end - begin, State: formats.Hole, HostOff: -1}, nil
}

// ReadAt reads guest bytes. Reads that ascend cost what Stream costs; one that goes
// back further than the cache begins at the file's begin.
func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return formats.ReadRuns(p, off, d.m.size, d.readRun)
}

// readRun reads within one run or hole.
func (d *disk) readRun(p []byte, off int64) (int, error) {
	e, err := d.ExtentAt(off)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), e.End()-off)]
	if e.State != formats.Data {
		clear(p)
		return len(p), nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readStored(p, d.starts[d.runAt(off)]+off-e.Off)
}

// readStored reads at least one of the stored bytes from at on; mu is held.
func (d *disk) readStored(p []byte, at int64) (int, error) {
	if d.cur != nil && at < d.window.begin() {
		d.rewind()
	}
	if d.cur == nil {
		if err := d.begin(); err != nil {
			return 0, err
		}
	}
	for at >= d.window.end {
		if err := d.window.fill(d.cur, d.total); err != nil {
			d.rewind()
			return 0, err
		}
	}
	return d.window.copy(p, at), nil
}

// begin sets the cursor to the first stored byte; mu is held.
func (d *disk) begin() error {
	c, err := newCursor(d.r, d.size)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, c, d.head); err != nil {
		return c.fault(err)
	}
	d.cur = c
	d.window = window{buf: make([]byte, max(pieceBytes, min(d.cache, d.total)))}
	return nil
}

// A window holds the stored bytes that were inflated last, up to end, in a ring.
type window struct {
	buf []byte
	end int64
}

// begin returns where among the stored bytes the oldest that is kept lies.
func (w *window) begin() int64 { return max(0, w.end-int64(len(w.buf))) }

// pieceBytes is how much is inflated at once.
const pieceBytes = 128 << 10

// fill takes the next of the total stored bytes from the cursor.
func (w *window) fill(c *cursor, total int64) error {
	at := w.end % int64(len(w.buf))
	n := min(pieceBytes, int64(len(w.buf))-at, total-w.end)
	if err := c.full(w.buf[at : at+n]); err != nil {
		return err
	}
	w.end += n
	return nil
}

// copy copies what the window holds from at on, begin() <= at < end.
func (w *window) copy(p []byte, at int64) int {
	p = p[:min(int64(len(p)), w.end-at)]
	n := copy(p, w.buf[at%int64(len(w.buf)):])
	return n + copy(p[n:], w.buf)
}

// Stream delivers the stored bytes, as formats.Streamer says.
func (d *disk) Stream(ctx context.Context, deliver func(off int64, p []byte) error) error {
	c, err := newCursor(d.r, d.size)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := io.CopyN(io.Discard, c, d.head); err != nil {
		return c.fault(err)
	}
	buf := make([]byte, pieceBytes)
	for _, r := range d.m.runs {
		for off := r.off; off < r.end; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			p := buf[:min(pieceBytes, r.end-off)]
			if err := c.full(p); err != nil {
				return err
			}
			if err := deliver(off, p); err != nil {
				return err
			}
			off += int64(len(p))
		}
	}
	return c.finish()
}

// Validate reads the whole file: every byte inflates, the sums are right, and
// nothing follows.
func (d *disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	return nil, d.Stream(ctx, func(int64, []byte) error { return nil })
}
