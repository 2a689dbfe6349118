package gce

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
)

const (
	// runAlign is what the borders of a run are rounded out to: file systems
	// keep holes in units of it. It is a multiple of tar's blocks.
	runAlign = 4 << 10
	// firstGap is the shortest hole that is worth an entry of the map. Zeros
	// compress to a thousandth, so that shorter ones cost less than they bring.
	firstGap = 64 << 10
	// maxRuns bounds the map, to 400 KB in the file. Go's reader takes maps of
	// up to 1 MiB, and others hold all of it in memory.
	maxRuns = 16 << 10
)

// A run is a half-open run of guest bytes that the file stores.
type run struct{ off, end int64 }

// A sparseMap says which of disk.raw's bytes are stored: runs in order, with holes
// between them, within the virtual size.
type sparseMap struct {
	size int64
	runs []run
}

// mapOf makes the map of a disk from its extents. If there are too many runs, the
// shortest holes are given up: a hole is kept if it has at least gap bytes, for the
// least gap, a power of two, that makes the map fit.
func mapOf(ctx context.Context, src formats.Disk, size int64) (sparseMap, error) {
	m, gap := sparseMap{size: size}, int64(firstGap)
	for e, err := range formats.Extents(src, 0, src.Size()) {
		if err != nil {
			return m, err
		}
		if err := ctx.Err(); err != nil {
			return m, context.Cause(ctx)
		}
		if e.State != formats.Data {
			continue
		}
		r := run{off: e.Off - e.Off%runAlign, end: min(binio.DivCeil(e.End(), runAlign)*runAlign, size)}
		m.runs = join(m.runs, r, gap)
		for len(m.runs) > maxRuns {
			gap *= 2
			all := m.runs
			m.runs = all[:0]
			for _, r := range all {
				m.runs = join(m.runs, r, gap)
			}
		}
	}
	return m, nil
}

// join appends a run that begins nowhere before the last one, or merges it with
// that if the hole between them has less than gap bytes.
func join(runs []run, r run, gap int64) []run {
	if n := len(runs); n > 0 && r.off-runs[n-1].end < gap {
		runs[n-1].end = max(runs[n-1].end, r.end)
		return runs
	}
	return append(runs, r)
}

// within yields the parts of the runs that lie in [off, end).
func (m sparseMap) within(off, end int64) iter.Seq[run] {
	return func(yield func(run) bool) {
		first := sort.Search(len(m.runs), func(i int) bool { return m.runs[i].end > off })
		for _, r := range m.runs[first:] {
			if r.off >= end || !yield(run{max(r.off, off), min(r.end, end)}) {
				return
			}
		}
	}
}

// stored returns how many bytes the file stores.
func (m sparseMap) stored() int64 {
	var n int64
	for _, r := range m.runs {
		n += r.end - r.off
	}
	return n
}

// sum tells maps from each other.
func (m sparseMap) sum() uint32 {
	p := make([]byte, 0, 16*len(m.runs)+8)
	p = binary.BigEndian.AppendUint64(p, uint64(m.size))
	for _, r := range m.runs {
		p = binary.BigEndian.AppendUint64(p, uint64(r.off))
		p = binary.BigEndian.AppendUint64(p, uint64(r.end))
	}
	return crc32.ChecksumIEEE(p)
}
