package vmdk

import (
	"fmt"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// windowBits is deflate's own largest window; the streams' headers may name
// smaller ones.
const windowBits = 15

var _ formats.PackedReader = (*disk)(nil)

// PackedAt returns the compressed grain that holds off, without reading its
// marker. HostLen is therefore only bounded, mostly by where the next grain
// begins.
func (d *disk) PackedAt(off int64) (formats.Packed, bool, error) {
	if off < 0 || off >= d.size {
		return formats.Packed{}, false, fmt.Errorf("vmdk: packed grain at %d of a disk of %d bytes", off, d.size)
	}
	grain := off / d.grain
	table, err := d.table(grain / d.gtes)
	if err != nil || table == nil {
		return formats.Packed{}, false, err
	}
	i := grain % d.gtes
	entry := gte(table, i)
	if _, compressed := d.state(entry); !compressed {
		return formats.Packed{}, false, nil
	}
	hostOff := entry * sectorBytes
	if err := d.checkGrain(grain, hostOff); err != nil {
		return formats.Packed{}, false, err
	}
	if d.fileSize-hostOff <= grainHeaderBytes {
		return formats.Packed{}, false, d.pastEnd(grain, hostOff)
	}
	return formats.Packed{
		Off: grain * d.grain, Len: min(d.grain, d.size-grain*d.grain), Size: d.grain,
		HostOff: hostOff, HostLen: min(d.room(table, d.gde(grain/d.gtes)*sectorBytes, i, hostOff), d.fileSize-hostOff),
		Codec: formats.CodecZlib, Window: windowBits,
	}, true, nil
}

// room returns how many bytes a grain at hostOff, entry i of the table at
// tableOff, can take at most: as many as there are up to the table's next grain,
// or up to the table where that lies behind its grains.
func (d *disk) room(table []byte, tableOff, i, hostOff int64) int64 {
	next := tableOff
	for j := i + 1; j < d.gtes; j++ {
		if entry := gte(table, j); entry > 1 {
			next = entry * sectorBytes
			break
		}
	}
	most := maxStored(d.grain)
	if gap := next - hostOff; gap > 0 {
		return min(gap, most)
	}
	return most
}

// ReadHost reads from the file.
func (d *disk) ReadHost(buf []byte, hostOff int64) error {
	if hostOff < 0 || hostOff > d.fileSize || int64(len(buf)) > d.fileSize-hostOff {
		return fmt.Errorf("vmdk: read %d bytes at host offset %d of a file of %d bytes", len(buf), hostOff, d.fileSize)
	}
	if err := binio.ReadFull(d.r, buf, hostOff); err != nil {
		return place{"grain", "", hostOff}.unread(err)
	}
	return nil
}

// Stream checks the grain's marker and returns the bytes that it counts.
func (d *disk) Stream(p formats.Packed, stored []byte) ([]byte, error) {
	if p.HostLen <= grainHeaderBytes || int64(len(stored)) != p.HostLen {
		return nil, fmt.Errorf("vmdk: %d bytes of a grain of %d", len(stored), p.HostLen)
	}
	grain := p.Off / d.grain
	n, err := d.grainLen(stored, grain, p.HostOff)
	if err != nil {
		return nil, err
	}
	if n > p.HostLen {
		return nil, grainPlace(grain, p.HostOff).refuse(errcode.VMDKGrain, n, fmt.Sprint(p.HostLen),
			"grain %d reaches into what lies behind it", grain)
	}
	return stored[grainHeaderBytes:n], nil
}
