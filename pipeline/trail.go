package pipeline

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/stores"
)

const (
	// trailReaders read at once. Each waits for the disk and holds one unit.
	trailReaders = 2
	// trailUnits is how far the reading may fall behind the writing, in units: a
	// disk of 32 GiB of data, at 16 bytes each. The copy waits for more.
	trailUnits = 16 << 10
)

// A trail reads what is written back, unit by unit, behind the writing: the disk reads
// while processors work, and no pass of its own is left for it. It refuses nothing. What
// it does not prove is left to the pass over what is sealed, which says what is wrong.
type trail struct {
	r       io.ReaderAt
	holes   formats.DataFinder
	units   chan trailUnit
	data    []uint64 // a bit for each unit that was given as data
	readers sync.WaitGroup
	once    sync.Once
	doubt   atomic.Bool  // something was not read, or is not what was given
	bytes   atomic.Int64 // that were read
}

type trailUnit struct {
	off int64
	len int32
	crc uint32
}

// newTrail follows what is written into an upload of at most size bytes, and is nil if
// the upload cannot be read before it is sealed, or its holes not be found.
func newTrail(up stores.Upload, size int64) *trail {
	reread, ok := up.(stores.Rereader)
	if !ok {
		return nil
	}
	r, err := reread.Written()
	if err != nil {
		return nil
	}
	holes, ok := r.(formats.DataFinder)
	if !ok {
		return nil
	}
	units := binio.DivCeil(size, transfer.UnitBytes)
	t := &trail{r: r, holes: holes, units: make(chan trailUnit, trailUnits), data: make([]uint64, binio.DivCeil(units, 64))}
	for range trailReaders {
		t.readers.Go(t.read)
	}
	return t
}

// follow has a unit of data read back that was written.
func (t *trail) follow(off int64, n int, crc uint32) {
	unit := off / transfer.UnitBytes
	if off%transfer.UnitBytes != 0 || n > transfer.UnitBytes || unit/64 >= int64(len(t.data)) {
		t.doubt.Store(true)
		return
	}
	t.data[unit/64] |= 1 << (unit % 64)
	t.units <- trailUnit{off, int32(n), crc}
}

// read takes units to the last one. After a doubt there is nothing left to prove.
func (t *trail) read() {
	buf := make([]byte, transfer.UnitBytes)
	for u := range t.units {
		if t.doubt.Load() {
			continue
		}
		if !t.whole(buf[:u.len], u.off) || crc32.Checksum(buf[:u.len], castagnoli) != u.crc {
			t.doubt.Store(true)
		}
	}
}

func (t *trail) whole(p []byte, off int64) bool {
	n, err := t.r.ReadAt(p, off)
	t.bytes.Add(int64(n))
	return n == len(p) && (err == nil || errors.Is(err, io.EOF))
}

// stop ends the reading when all that was given has been read. It may be called again.
func (t *trail) stop() {
	t.once.Do(func() { close(t.units) })
	t.readers.Wait()
}

// proves reports whether the size bytes that were written are those that were given: the
// units of data have their checksums, and all else is zeros. What has fallen behind the
// writing may take a while: alive is told of the bytes that were read, about once a
// second, and the end of the context leaves a doubt. A nil trail proves nothing.
func (t *trail) proves(ctx context.Context, size int64, alive func(n int64)) bool {
	if t == nil {
		return false
	}
	proven := make(chan bool, 1)
	go func() {
		t.stop()
		proven <- !t.doubt.Load() && t.restIsZero(size)
	}()
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	ended := ctx.Done()
	for read := int64(-1); ; {
		select {
		case ok := <-proven:
			return ok && ctx.Err() == nil
		case <-ended:
			t.doubt.Store(true)
			ended = nil
		case <-tick.C:
			if n := t.bytes.Load(); n != read {
				read = n
				alive(n)
			}
		}
	}
}

// restIsZero looks at the data that lies in no unit of data.
func (t *trail) restIsZero(size int64) bool {
	buf := make([]byte, transfer.UnitBytes)
	for off := int64(0); off < size; {
		start, end, err := t.holes.NextData(off)
		if err != nil {
			return false
		}
		if start == end {
			return true
		}
		for off = start; off < min(end, size); {
			if t.doubt.Load() {
				return false
			}
			unit := off / transfer.UnitBytes
			next := min((unit+1)*transfer.UnitBytes, end, size)
			if !t.has(unit) && (!t.whole(buf[:next-off], off) || !binio.IsZero(buf[:next-off])) {
				return false
			}
			off = next
		}
	}
	return true
}

func (t *trail) has(unit int64) bool {
	return unit/64 < int64(len(t.data)) && t.data[unit/64]&(1<<(unit%64)) != 0
}

// abandon stops what is read back on the way.
func (s *storedSums) abandon() {
	if s != nil && s.trail != nil {
		s.trail.doubt.Store(true)
		s.trail.stop()
	}
}
