package qcow2

import (
	"encoding/binary"
)

// maxRefcount is the largest count of 16 bits.
const maxRefcount = 1<<16 - 1

// refcounts counts the references to host clusters of a file that is written
// forward. Blocks that are full leave it for the file.
type refcounts struct {
	perBlock int64
	table    []int64  // host offsets of the blocks that were taken
	blocks   [][]byte // those behind them
}

// add counts one more reference to a host cluster, whose block has not been
// taken.
func (r *refcounts) add(cluster int64) {
	i := cluster/r.perBlock - r.written()
	for int64(len(r.blocks)) <= i {
		r.blocks = append(r.blocks, make([]byte, 2*r.perBlock))
	}
	p := r.blocks[i][cluster%r.perBlock*2:]
	binary.BigEndian.PutUint16(p, binary.BigEndian.Uint16(p)+1)
}

// full reports whether a host cluster cannot take another reference.
func (r *refcounts) full(cluster int64) bool {
	i := cluster/r.perBlock - r.written()
	if i >= int64(len(r.blocks)) {
		return false
	}
	return binary.BigEndian.Uint16(r.blocks[i][cluster%r.perBlock*2:]) == maxRefcount
}

// written returns how many blocks were taken.
func (r *refcounts) written() int64 { return int64(len(r.table)) }

// take returns the first block, which will stand at the given host offset.
func (r *refcounts) take(off int64) []byte {
	p := r.blocks[0]
	r.blocks = r.blocks[1:]
	r.table = append(r.table, off)
	return p
}

// tableBytes returns the refcount table, filled up to n bytes.
func (r *refcounts) tableBytes(n int64) []byte {
	p := make([]byte, n)
	for i, off := range r.table {
		binary.BigEndian.PutUint64(p[8*i:], uint64(off))
	}
	return p
}
