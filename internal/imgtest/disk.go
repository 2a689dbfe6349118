package imgtest

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"ingest/formats"
)

// A Kind says what the bytes of a run are.
type Kind uint8

// The kinds of run. Neither Text nor Noise holds a zero byte, so that a byte
// that a reader loses is always seen.
const (
	Hole  Kind = iota // never written
	Zero              // written as zeros
	Text              // compresses to less than a quarter
	Noise             // does not compress
)

// IsData reports whether bytes of the kind are not zeros.
func (k Kind) IsData() bool { return k == Text || k == Noise }

// A Run is a run of guest bytes of one kind.
type Run struct {
	Off  int64 // guest offset, bytes
	Len  int64 // bytes, > 0
	Kind Kind
}

// End returns the guest offset behind the run.
func (r Run) End() int64 { return r.Off + r.Len }

// A Disk is a model of a guest's disk. It is immutable and safe for concurrent
// use.
type Disk struct {
	size int64
	seed uint64
	runs []Run // ascending, covering [0, size) without gaps
}

var (
	_ formats.Disk       = (*Disk)(nil)
	_ formats.DataFinder = (*Disk)(nil)
)

// New returns a disk of size bytes with the given runs, in any order; what
// they leave out is holes. Runs that overlap or lie outside the disk panic.
func New(size int64, seed uint64, runs ...Run) *Disk {
	sorted := append([]Run(nil), runs...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Off < sorted[j].Off })
	d := &Disk{size: size, seed: seed}
	var off int64
	for _, r := range sorted {
		if r.Len <= 0 || r.Off < off || r.Len > size-r.Off {
			panic(fmt.Sprintf("imgtest: run [%d, +%d) overlaps or leaves a disk of %d bytes", r.Off, r.Len, size))
		}
		if r.Off > off {
			d.runs = append(d.runs, Run{Off: off, Len: r.Off - off, Kind: Hole})
		}
		d.runs = append(d.runs, r)
		off = r.End()
	}
	if off < size {
		d.runs = append(d.runs, Run{Off: off, Len: size - off, Kind: Hole})
	}
	return d
}

// Runs returns the disk's runs, ascending, covering it without gaps. The
// caller must not change them.
func (d *Disk) Runs() []Run { return d.runs }

// Size returns the virtual size in bytes.
func (d *Disk) Size() int64 { return d.size }

// Close does nothing.
func (d *Disk) Close() error { return nil }

// Info describes the disk as a raw one whose holes are known.
func (d *Disk) Info() formats.Info {
	return formats.Info{Format: formats.Raw, VirtualSize: d.size, FileSize: d.size, HolesKnown: true}
}

// ExtentAt returns the run that holds off.
func (d *Disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("extent at %d of a disk of %d bytes: %w", off, d.size, io.EOF)
	}
	r := d.runs[d.find(off)]
	e := formats.Extent{Off: r.Off, Len: r.Len, HostOff: -1}
	switch r.Kind {
	case Hole:
		e.State = formats.Hole
	case Zero:
		e.State = formats.Zero
	}
	return e, nil
}

// NextData returns the first run of Text or Noise at or after off.
func (d *Disk) NextData(off int64) (start, end int64, err error) {
	if off < 0 {
		return 0, 0, errors.New("imgtest: negative offset")
	}
	if off >= d.size {
		return d.size, d.size, nil
	}
	for i := d.find(off); i < len(d.runs); i++ {
		if d.runs[i].Kind.IsData() {
			return max(off, d.runs[i].Off), d.runs[i].End(), nil
		}
	}
	return d.size, d.size, nil
}

// ReadAt fills p with the guest bytes at off, as io.ReaderAt says.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("imgtest: negative offset")
	}
	if off >= d.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), d.size-off))
	for q, i := p[:n], d.find(off); len(q) > 0; i++ {
		r := d.runs[i]
		k := int(min(int64(len(q)), r.End()-off))
		fill(q[:k], r.Kind, d.seed, off)
		q, off = q[k:], off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// find returns the index of the run that holds off.
func (d *Disk) find(off int64) int {
	return sort.Search(len(d.runs), func(i int) bool { return d.runs[i].End() > off })
}
