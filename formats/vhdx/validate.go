package vhdx

import (
	"context"
	"encoding/binary"
	"fmt"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// skipBytes of the BAT that are all zeros are passed over at once.
const skipBytes = 4 * kib

// Validate holds every block against the file's end, the header section, the
// log, the regions and the other blocks. It takes a bit of memory for each MiB
// of the file. Without a parent, entries of sector bitmap blocks are not looked
// at: they mean nothing then, and qemu before 8.0 leaves what is not one there.
func (d *disk) Validate(ctx context.Context) ([]formats.Finding, error) {
	if d.info.Unreadable != nil {
		return d.info.Findings, d.info.Unreadable
	}
	words := binio.DivCeil(binio.DivCeil(d.img.end, mib), 64)
	if words*8 > d.lim.TableBytes {
		return d.info.Findings, place{"file", "size", -1}.refuse(errcode.ParserLimit, d.img.end, fmt.Sprint(d.lim.TableBytes*8*mib),
			"checking a file of %d bytes takes %d bytes of memory", d.img.end, words*8)
	}
	v := &validation{d: d, owned: make([]uint64, words), chunk: -1}
	for _, u := range d.used {
		v.own(u.Off, u.End)
	}
	buf := make([]byte, pieceBytes)
	for i := range binio.DivCeil(d.bat.entries, pieceEntries) {
		if ctx.Err() != nil {
			return d.info.Findings, context.Cause(ctx)
		}
		raw, err := d.bat.read(i, buf)
		if err != nil {
			return d.info.Findings, err
		}
		if err := v.piece(i*pieceEntries, raw); err != nil {
			return d.info.Findings, err
		}
	}
	return append(d.info.Findings[:len(d.info.Findings):len(d.info.Findings)], v.findings...), nil
}

// A validation is one pass over the BAT.
type validation struct {
	d        *disk
	owned    []uint64 // a bit for each MiB of the file
	findings []formats.Finding
	chunk    int64 // the last one whose sector bitmap is known to be there
}

// own marks the bytes as used by one thing, or returns where something else
// already uses them, else -1.
func (v *validation) own(off, end int64) int64 {
	for m := off / mib; m < binio.DivCeil(min(end, v.d.img.end), mib); m++ {
		if v.owned[m/64]>>(m%64)&1 != 0 {
			return m * mib
		}
		v.owned[m/64] |= 1 << (m % 64)
	}
	return -1
}

// piece checks the entries of a piece of the BAT; first is the index of its
// first one.
func (v *validation) piece(first int64, raw []byte) error {
	for at := 0; at < len(raw); at += skipBytes {
		part := raw[at:min(at+skipBytes, len(raw))]
		if binio.IsZero(part) {
			continue
		}
		index := first + int64(at/batEntryBytes)
		for ; len(part) > 0; part, index = part[batEntryBytes:], index+1 {
			entry := binary.LittleEndian.Uint64(part)
			var err error
			switch bitmap := v.d.bat.isBitmap(index); {
			case entry == 0 || bitmap && v.d.bits == nil:
			case bitmap:
				err = v.bitmap(index, entry)
			default:
				err = v.block(v.d.bat.payload(index), entry)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// block checks and marks payload block i.
func (v *validation) block(i int64, entry uint64) error {
	d := v.d
	s, ok := d.bat.stateOf(entry)
	if !ok {
		return d.bat.fault(i, entry)
	}
	if s != formats.Data {
		return nil
	}
	host, err := d.checkBlock(i, entry)
	if err != nil {
		return err
	}
	if at := v.own(host, host+d.block); at >= 0 {
		return d.overlaps(i, entry, at)
	}
	// A download that was cut short ends like this. The specification knows no
	// short block, and no program that writes one was found.
	if missing := host + d.blockLen(i) - d.img.end; missing > 0 {
		return d.bat.place(i).refuse(errcode.Truncated, hex(entry), fmt.Sprintf("%d bytes", d.img.end),
			"the file ends %d bytes before block %d of the guest does", missing, i)
	}
	if chunk := i >> d.bat.shift; entry&entryState == blockPartiallyPresent && chunk != v.chunk {
		if _, err := d.bitmapBlock(chunk); err != nil {
			return err
		}
		v.chunk = chunk
	}
	return nil
}

// bitmap checks and marks the sector bitmap block whose entry has the given
// index.
func (v *validation) bitmap(index int64, entry uint64) error {
	d := v.d
	present, host, err := d.checkBitmap(index, entry)
	if err != nil || !present {
		return err
	}
	if at := v.own(host, host+bitmapBytes); at >= 0 {
		return d.bitmapOverlaps(index, entry, at)
	}
	return nil
}
