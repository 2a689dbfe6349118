package parallels

import (
	"fmt"
	"io"

	"ingest/formats"
	"ingest/formats/table"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// disk is an open image.
type disk struct {
	r        io.ReaderAt
	fileSize int64
	size     int64 // virtual size, bytes
	cluster  int64 // bytes
	unit     int64 // bytes for which a BAT entry counts
	meta     int64 // host offset behind the BAT
	data     int64 // host offset of the data area
	ext      int64 // host offset of the format extension, 0 if there is none
	cleared  bool  // the header says that there are no clusters
	bat      *table.Table
	info     formats.Info
}

var (
	_ formats.Disk      = (*disk)(nil)
	_ formats.Validator = (*disk)(nil)
)

// newDisk returns the disk of a header that was checked.
func newDisk(r io.ReaderAt, size int64, h *header, lim formats.Limits) *disk {
	d := &disk{
		r: r, fileSize: size, size: int64(h.sizeSectors()) * sectorBytes,
		cluster: h.cluster(), unit: sectorBytes, meta: h.batEnd(), data: h.dataStart(), ext: int64(h.extOff) * sectorBytes,
		cleared: h.flags&flagEmpty != 0 && h.inUse != inUseOpen, info: h.info(size),
	}
	if h.formatVersion == 2 {
		d.unit = d.cluster
	}
	d.bat = newBAT(r, binio.DivCeil(d.size, d.cluster), lim.CacheBytes)
	return d
}

func (d *disk) Close() error { return nil }

func (d *disk) Size() int64 { return d.size }

func (d *disk) Info() formats.Info { return d.info }

// clusterLen returns how many bytes of cluster i the virtual size covers.
func (d *disk) clusterLen(i int64) int64 { return min(d.cluster, d.size-i*d.cluster) }

// hostOff returns the host offset that a BAT entry stands for.
func (d *disk) hostOff(entry uint32) int64 { return int64(entry) * d.unit }

func (d *disk) ExtentAt(off int64) (formats.Extent, error) {
	if off < 0 || off >= d.size {
		return formats.Extent{}, fmt.Errorf("parallels: extent at %d of a disk of %d bytes", off, d.size)
	}
	return d.run(off, d.size)
}

// run returns the run of one state, in one piece of the file, from the begin of
// off's cluster on, until a cluster that reaches end or the end of the BAT's
// piece. Every cluster of data in it has been checked.
func (d *disk) run(off, end int64) (formats.Extent, error) {
	i := off / d.cluster
	p, err := d.bat.Piece(i)
	if err != nil {
		return formats.Extent{}, err
	}
	first, last := p.Entry(i), i+1
	stop := min(p.End(), binio.DivCeil(end, d.cluster))
	e := formats.Extent{Off: i * d.cluster, HostOff: -1}
	if first == 0 {
		e.State = formats.Hole
		last = p.SameUntil(last, stop, first)
	} else {
		if err := d.checkCluster(i, first); err != nil {
			return formats.Extent{}, err
		}
		e.HostOff = d.hostOff(first)
		// Clusters that follow a good one are on the grid, too.
		for next := e.HostOff + d.cluster; last < stop && d.hostOff(p.Entry(last)) == next && next != d.ext && next+d.clusterLen(last) <= d.fileSize; last++ {
			next += d.cluster
		}
	}
	e.Len = min(last*d.cluster, d.size) - e.Off
	return e, nil
}

// checkCluster holds cluster i, to which a BAT entry other than 0 belongs,
// against the data area, the format extension and the file's end.
func (d *disk) checkCluster(i int64, entry uint32) error {
	at := d.hostOff(entry)
	switch end := at + d.clusterLen(i); {
	case d.cleared:
		return d.entryPlace(i).refuse(errcode.ParallelsHeader, entry, "0", "the header marks the image as empty, and it has cluster %d", i)
	case at < d.meta:
		return d.entryPlace(i).refuse(errcode.AliasedBlocks, entry, fmt.Sprintf("%d bytes or more", d.data), "cluster %d at %d lies in the header or BAT", i, at)
	case at < d.data || (at-d.data)%d.cluster != 0:
		return d.entryPlace(i).refuse(errcode.TableBounds, entry, fmt.Sprintf("a cluster from %d bytes on", d.data), "cluster %d at %d is not on the grid of the data area", i, at)
	case at == d.ext:
		return d.entryPlace(i).refuse(errcode.AliasedBlocks, entry, "", "cluster %d at %d is the format extension", i, at)
	case end > d.fileSize:
		return d.entryPlace(i).refuse(errcode.Truncated, entry, fmt.Sprintf("%d bytes", d.fileSize), "cluster %d ends at %d, past the end of the file", i, end)
	}
	return nil
}

func (d *disk) entryPlace(i int64) place {
	return place{fmt.Sprintf("BAT entry %d", i), "", headerBytes + i*entryBytes}
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return formats.ReadRuns(p, off, d.size, d.readRun)
}

// readRun reads at most the run that holds off and returns how many bytes it
// read.
func (d *disk) readRun(p []byte, off int64) (int, error) {
	e, err := d.run(off, off+int64(len(p)))
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), e.End()-off)]
	if e.State != formats.Data {
		clear(p)
		return len(p), nil
	}
	if err := binio.ReadFull(d.r, p, e.HostOff+off-e.Off); err != nil {
		return 0, place{fmt.Sprintf("cluster %d", off/d.cluster), "", e.HostOff}.unread(err)
	}
	return len(p), nil
}
