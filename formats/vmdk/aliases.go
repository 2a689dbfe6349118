package vmdk

import (
	"context"
	"fmt"

	"ingest/internal/errcode"
)

const (
	// windowSlots bounds the memory of checkAliases, 2 bytes a slot: plain
	// grains of 64 KiB have one window for 512 GiB of file.
	windowSlots = 8 << 20
	// maxWindows bounds how often the tables are walked.
	maxWindows = 64
)

// checkAliases refuses two grains that overlap in the file. It marks where
// grains begin, one window of the file at a time, so that its memory does not
// grow with the file. last is the highest host offset of a grain, window the
// number of slots in a window.
//
// A slot is as long as a grain's shortest distance from the next: a grain if
// they are plain, a sector if they are compressed. It remembers the sector
// within it where a grain begins; a neighbour that begins less than a slot
// away overlaps.
func (d *disk) checkAliases(ctx context.Context, last, window int64) error {
	slot := d.grain
	if d.compressed {
		slot = sectorBytes
	}
	slots := last/slot + 1
	if slots > window*maxWindows {
		return place{"grain tables", "", d.gdOff}.refuse(errcode.ParserLimit, last, fmt.Sprint(window*maxWindows*slot),
			"grains reach to host offset %d, too far to be checked for overlaps", last)
	}
	marks := make([]uint16, min(slots, window)+1)
	for from := int64(0); from < slots; from += window {
		clear(marks)
		// The last slot before the window is marked too, for its neighbour.
		base := max(0, from-1)
		err := d.eachGrain(ctx, func(g grainAt) error {
			i := g.hostOff/slot - base
			if i < 0 || i >= int64(len(marks)) {
				return nil
			}
			return mark(marks, i, uint16(g.hostOff%slot/sectorBytes)+1, g)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// mark notes that a grain begins at the given sector, counted from 1, of slot
// i.
func mark(marks []uint16, i int64, sector uint16, g grainAt) error {
	switch {
	case marks[i] != 0,
		i > 0 && marks[i-1] > sector,
		i+1 < int64(len(marks)) && marks[i+1] != 0 && marks[i+1] < sector:
		return grainPlace(g.grain, g.hostOff).refuse(errcode.AliasedBlocks, g.hostOff/sectorBytes, "",
			"grain %d shares sectors of the file with another grain", g.grain)
	}
	marks[i] = sector
	return nil
}
