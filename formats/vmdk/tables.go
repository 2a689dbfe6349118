package vmdk

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// A tableCache holds grain tables that were read, each in the one slot that
// its index falls into. Looking one up takes no lock; two readers that miss at
// once read the table twice, which is harmless.
type tableCache struct {
	slots []atomic.Pointer[grainTable]
}

// A grainTable is one table as it lies in the file.
type grainTable struct {
	index   int64 // in the grain directory
	entries []byte
}

// newTableCache returns a cache for a directory of n tables that keeps at most
// limit bytes.
func newTableCache(n, tableBytes, limit int64) *tableCache {
	const overhead = 64 // slot, struct and allocation rounding
	return &tableCache{slots: make([]atomic.Pointer[grainTable], max(1, min(n, limit/(tableBytes+overhead))))}
}

// readDirectory reads the grain directory of n entries.
func readDirectory(r io.ReaderAt, size int64, h *header, n int64, lim formats.Limits) ([]byte, error) {
	where := place{"grain directory", "gdOffset", h.at + 56}
	if h.gdOffset == 0 || h.gdOffset > uint64(size/sectorBytes) {
		return nil, where.refuse(errcode.Truncated, h.gdOffset, fmt.Sprintf("1 to %d", size/sectorBytes),
			"the grain directory is at sector %d of a file of %d bytes", h.gdOffset, size)
	}
	if n > lim.TableBytes/4 {
		return nil, where.refuse(errcode.TableBounds, n, fmt.Sprint(lim.TableBytes/4), "the grain directory needs %d entries", n)
	}
	p, err := binio.ReadRange(r, size, int64(h.gdOffset)*sectorBytes, n*4, lim.TableBytes)
	if err != nil {
		return nil, where.unread(err)
	}
	return p, h.distinct(p)
}

// distinct refuses a directory of which two entries lead to one grain table: a small
// file could stand for any disk, and each use of the table would be read anew.
func (h *header) distinct(directory []byte) error {
	tables := make([]uint32, 0, len(directory)/4)
	for i := 0; i < len(directory); i += 4 {
		if t := binary.LittleEndian.Uint32(directory[i:]); t != 0 {
			tables = append(tables, t)
		}
	}
	slices.Sort(tables)
	for i := 1; i < len(tables); i++ {
		if tables[i] == tables[i-1] {
			return place{"grain directory", "entry", int64(h.gdOffset) * sectorBytes}.refuse(errcode.AliasedBlocks, tables[i], "tables that differ",
				"two entries of the grain directory lead to one grain table at sector %d", tables[i])
		}
	}
	return nil
}

// gde returns entry i of the grain directory, a sector or 0.
func (d *disk) gde(i int64) int64 { return int64(binary.LittleEndian.Uint32(d.directory[i*4:])) }

// table returns grain table i, or nil if the directory has none.
func (d *disk) table(i int64) ([]byte, error) {
	sector := d.gde(i)
	if sector == 0 {
		return nil, nil
	}
	slot := &d.cache.slots[i%int64(len(d.cache.slots))]
	if t := slot.Load(); t != nil && t.index == i {
		return t.entries, nil
	}
	n := d.tableBytes()
	k := d.neighbours(i, sector)
	p, err := binio.ReadRange(d.r, d.fileSize, sector*sectorBytes, k*n, readAhead*maxGTEs*4)
	if err != nil {
		return nil, place{fmt.Sprintf("grain table %d", i), "", sector * sectorBytes}.unread(err)
	}
	for j := range k {
		d.cache.slots[(i+j)%int64(len(d.cache.slots))].Store(&grainTable{index: i + j, entries: p[j*n : (j+1)*n]})
	}
	return p[:n], nil
}

// readAhead is how many tables are read at once where they lie one behind the
// other, as most writers lay them out: 32 KiB, for the sake of remote files.
const readAhead = 16

// neighbours returns how many tables, from number i at the given sector on, lie
// in one piece of the file and can be kept together.
func (d *disk) neighbours(i, sector int64) int64 {
	n := d.tableBytes()
	most := min(readAhead, int64(len(d.cache.slots)), int64(len(d.directory)/4)-i)
	if n%sectorBytes != 0 {
		return 1
	}
	k := int64(1)
	for k < most && d.gde(i+k) == sector+k*n/sectorBytes && (sector*sectorBytes+(k+1)*n) <= d.fileSize {
		k++
	}
	return k
}

func (d *disk) tableBytes() int64 { return d.gtes * 4 }

// gte returns entry i of a grain table.
func gte(table []byte, i int64) int64 { return int64(binary.LittleEndian.Uint32(table[i*4:])) }
