package directio

import (
	"sync"
	"unsafe"
)

// scratchBytes is how much of a run whose bytes do not lie on a block's border in
// memory is moved at once.
const scratchBytes = 1 << 20

// scratches are buffers on a block's border. No more are in use than there are
// writes at a time.
var scratches = sync.Pool{New: func() any { b := Buffer(scratchBytes); return &b }}

// Buffer returns n bytes that begin on a block's border in memory.
func Buffer(n int) []byte {
	b := make([]byte, n+Block)
	at := (Block - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%Block)) % Block
	return b[at : at+n : at+n]
}

// aligned reports whether p begins on a block's border in memory.
func aligned(p []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%Block == 0
}

// WriteAt writes p at off: its whole blocks past the cache, if there are enough of
// them, the rest through it.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	head := int((Block - off%Block) % Block)
	if !f.can() || off < 0 || len(p) < head+MinRun {
		return f.f.WriteAt(p, off)
	}
	mid := (len(p) - head) / Block * Block
	done, err := f.cached(p[:head], off)
	if err != nil {
		return done, err
	}
	n, err := f.blocks(p[head:head+mid], off+int64(head))
	if done += n; err != nil {
		return done, err
	}
	n, err = f.cached(p[done:], off+int64(done))
	return done + n, err
}

// cached writes a part that fills no block.
func (f *File) cached(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return f.f.WriteAt(p, off)
}

// blocks writes whole blocks past the cache.
func (f *File) blocks(p []byte, off int64) (int, error) {
	if aligned(p) {
		return f.put(p, off)
	}
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	done := 0
	for done < len(p) {
		n, err := f.put((*scratch)[:copy(*scratch, p[done:])], off+int64(done))
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// put writes whole blocks that lie on a border in memory, and through the cache
// what the file system does not take.
func (f *File) put(p []byte, off int64) (int, error) {
	n, err := f.direct.WriteAt(p, off)
	if err != nil && f.refusal(err) {
		var m int
		m, err = f.f.WriteAt(p[n:], off+int64(n))
		n += m
	}
	return n, err
}
