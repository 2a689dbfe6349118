package vmdk

import (
	"encoding/binary"
	"fmt"

	"ingest/internal/binio"
	"ingest/internal/errcode"
	"ingest/internal/inflate"
)

// grainHeaderBytes is the grain marker: u64 guest sector, u32 bytes of data.
const grainHeaderBytes = 12

// An inflater is what one goroutine needs to read compressed grains. It keeps
// the last grain that it inflated into its own buffer, so that a reader that
// takes a grain in small pieces inflates it once.
type inflater struct {
	src    []byte
	stream []byte // the zlib stream in src
	zlib   inflate.Decoder
	plain  []byte
	grain  int64 // index of the grain in plain, -1 if none
}

// readCompressed fills p with guest bytes at off, which lie in one grain.
func (d *disk) readCompressed(p []byte, off int64) error {
	grain := off / d.grain
	inf := d.inflaters.Get().(*inflater)
	defer d.inflaters.Put(inf)
	if int64(len(p)) == d.grain {
		return d.inflate(inf, grain, p)
	}
	if inf.grain != grain {
		if inf.plain == nil {
			inf.plain = make([]byte, d.grain)
		}
		inf.grain = -1
		if err := d.inflate(inf, grain, inf.plain); err != nil {
			return err
		}
		inf.grain = grain
	}
	copy(p, inf.plain[off%d.grain:])
	return nil
}

// inflate reads a grain and inflates it into dst, which has room for a whole
// one.
func (d *disk) inflate(inf *inflater, grain int64, dst []byte) error {
	hostOff, err := d.load(inf, grain)
	if err != nil {
		return err
	}
	n, _, err := inf.zlib.Zlib(dst, inf.stream)
	if err != nil {
		return corrupt(grain, hostOff, err)
	}
	// The last grain may hold only what the virtual size covers.
	if need := min(d.grain, d.size-grain*d.grain); int64(n) < need {
		return corrupt(grain, hostOff, fmt.Errorf("%d of %d bytes", n, need))
	}
	return nil
}

// corrupt is the error of a grain whose stream does not give a grain.
func corrupt(grain, hostOff int64, err error) error {
	return grainPlace(grain, hostOff).refuse(errcode.CompressionCorrupt, nil, "", "inflate grain %d: %v", grain, err)
}

// load reads a grain's stored bytes and leaves its stream in inf.stream. It returns
// their host offset.
func (d *disk) load(inf *inflater, grain int64) (int64, error) {
	hostOff, hint, err := d.locate(grain)
	if err != nil {
		return 0, err
	}
	most := d.fileSize - hostOff
	if most < grainHeaderBytes {
		return 0, d.pastEnd(grain, hostOff)
	}
	p := inf.buffer(min(hint, most), 0)
	if err := binio.ReadFull(d.r, p, hostOff); err != nil {
		return 0, grainPlace(grain, hostOff).unread(err)
	}
	n, err := d.grainLen(p, grain, hostOff)
	if err != nil {
		return 0, err
	}
	if got := int64(len(p)); n > got {
		if n > most {
			return 0, d.pastEnd(grain, hostOff)
		}
		p = inf.buffer(n, got)
		if err := binio.ReadFull(d.r, p[got:], hostOff+got); err != nil {
			return 0, grainPlace(grain, hostOff).unread(err)
		}
	}
	inf.stream = p[grainHeaderBytes:n]
	return hostOff, nil
}

// locate returns where a grain is stored, and how many bytes to read for it at
// first. Grains are mostly written in order, so that the next one's place
// tells this one's length.
func (d *disk) locate(grain int64) (hostOff, hint int64, err error) {
	table, err := d.table(grain / d.gtes)
	if err != nil {
		return 0, 0, err
	}
	i := grain % d.gtes
	hostOff = gte(table, i) * sectorBytes
	if err := d.checkGrain(grain, hostOff); err != nil {
		return 0, 0, err
	}
	hint = d.grain/2 + sectorBytes
	if i+1 < d.gtes {
		next := gte(table, i+1)*sectorBytes - hostOff
		if next > 0 && next <= maxStored(d.grain) {
			hint = next
		}
	}
	return hostOff, hint, nil
}

// maxStored is the most bytes that a grain may take: a deflate stream that
// expands is stored by any writer, and qemu allows twice the grain.
func maxStored(grain int64) int64 { return grainHeaderBytes + 2*grain }

// grainLen checks a grain's marker and returns the grain's stored bytes with
// it. The marker must name the grain that the table led to, so that two table
// entries cannot share one.
func (d *disk) grainLen(p []byte, grain, hostOff int64) (int64, error) {
	sector, n := binary.LittleEndian.Uint64(p), int64(binary.LittleEndian.Uint32(p[8:]))
	if want := uint64(grain * (d.grain / sectorBytes)); sector != want {
		return 0, place{fmt.Sprintf("grain %d", grain), "lba", hostOff}.refuse(errcode.VMDKGrain, sector, fmt.Sprint(want),
			"grain %d says that it is sector %d of the disk", grain, sector)
	}
	if n == 0 || n > maxStored(d.grain)-grainHeaderBytes {
		return 0, place{fmt.Sprintf("grain %d", grain), "size", hostOff + 8}.refuse(errcode.VMDKGrain, n, fmt.Sprintf("1 to %d", 2*d.grain),
			"grain %d has %d compressed bytes", grain, n)
	}
	return n + grainHeaderBytes, nil
}

// buffer returns inf.src with n bytes, of which the first keep bytes stay.
func (inf *inflater) buffer(n, keep int64) []byte {
	if int64(cap(inf.src)) < n {
		grown := make([]byte, n, n+n/4)
		copy(grown, inf.src[:keep])
		inf.src = grown
	}
	inf.src = inf.src[:n]
	return inf.src
}
