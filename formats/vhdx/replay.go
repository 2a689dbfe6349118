package vhdx

import (
	"fmt"
	"io"
	"sort"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

const (
	// maxLogBytes is 64 times what every known writer makes. The logs of all
	// files of a chain share it, since all are held in memory.
	maxLogBytes = 64 * mib
	// writeBytes is about what a write takes in memory while it is sorted in.
	writeBytes = 64
)

// replay returns the file with its log, of at most most bytes, applied, and what
// is to be told about that. A file without a log is returned as it is.
func replay(r io.ReaderAt, size int64, h *header, most int64, lim formats.Limits) (*image, []formats.Finding, error) {
	img := &image{r: r, size: size, end: size}
	if !h.dirty() {
		return img, nil, nil
	}
	at := h.log()
	if at.Len() > most {
		return nil, nil, h.refuse(errcode.ParserLimit, "LogLength", 68, at.Len(), fmt.Sprint(most), "a log of %d bytes is too long to be replayed", at.Len())
	}
	raw, err := binio.ReadRange(r, size, at.Off, at.Len(), most)
	if err != nil {
		return nil, nil, place{"log", "", at.Off}.unread(err)
	}
	log := logRing{raw}
	sequence := log.active(h.logGUID)
	if len(sequence) == 0 {
		return nil, nil, h.refuse(errcode.VHDXLogInvalid, "LogGuid", 48, h.logGUID, "", "the header names a log in which no sequence of entries is valid")
	}
	head := sequence[len(sequence)-1]
	in := func(field string, rel int64) place { return place{"log entry", field, at.Off + head.at + rel} }
	if head.flushed > uint64(size) {
		return nil, nil, in("FlushedFileOffset", 48).refuse(errcode.Truncated, head.flushed, fmt.Sprintf("%d bytes", size),
			"the file had at least %d bytes when its log was written", head.flushed)
	}
	if head.last > maxFileBytes {
		return nil, nil, in("LastFileOffset", 56).refuse(errcode.VHDXLogInvalid, head.last, fmt.Sprint(int64(maxFileBytes)), "the log makes the file %d bytes long", head.last)
	}
	img.end = max(img.end, int64(head.last))
	if img.over, err = log.apply(sequence, at.Off, lim); err != nil {
		return nil, nil, err
	}
	img.end = max(img.end, img.over.end())
	return img, []formats.Finding{formats.Note(errcode.VHDXHeader, formats.SeverityWarning,
		fmt.Sprintf("the disk was not closed cleanly; %d entries of its log were applied while reading", len(sequence)),
		errcode.Evidence{Format: string(formats.VHDX), Structure: "header", Field: "LogGuid", Offset: errcode.At(h.at + 48), Value: h.logGUID.String()})}, nil
}

// apply gathers the writes of the sequence, of which later ones win.
func (l logRing) apply(sequence []logEntry, at int64, lim formats.Limits) (*replayed, error) {
	var writes []patch
	for _, e := range sequence {
		where := place{"log entry", "", at + e.at}
		var err error
		l.descriptors(e, func(d descriptor) bool {
			off, n := d.off(), d.length()
			switch {
			case n == 0:
				return true
			case off > maxFileBytes || n > maxFileBytes-off:
				err = where.refuse(errcode.VHDXLogInvalid, fmt.Sprintf("%d, +%d", off, n), fmt.Sprint(int64(maxFileBytes)), "the log writes %d bytes at %d", n, off)
			case int64(len(writes)) >= lim.TableBytes/writeBytes:
				err = where.refuse(errcode.ParserLimit, len(writes), fmt.Sprint(lim.TableBytes/writeBytes), "the log has more than %d writes", len(writes))
			default:
				w := patch{off: int64(off), end: int64(off + n)}
				if d.page != nil {
					w.page = d.restore()
				}
				writes = append(writes, w)
			}
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	return flatten(writes), nil
}

// flatten turns writes, in order and possibly over each other, into ascending
// patches that are not.
func flatten(writes []patch) *replayed {
	borders := make([]int64, 0, 2*len(writes))
	for _, w := range writes {
		borders = append(borders, w.off, w.end)
	}
	sort.Slice(borders, func(i, j int) bool { return borders[i] < borders[j] })
	cell := func(off int64) int {
		return sort.Search(len(borders), func(i int) bool { return borders[i] >= off })
	}
	// Newest first, each write takes the cells between borders that are still
	// free. free[i] leads towards the first free cell at or after i.
	free := make([]int32, len(borders)+1)
	for i := range free {
		free[i] = int32(i)
	}
	find := func(i int) int {
		for int(free[i]) != i {
			free[i] = free[free[i]]
			i = int(free[i])
		}
		return i
	}
	owner := make([]int32, len(borders))
	for k := len(writes) - 1; k >= 0; k-- {
		for i, last := find(cell(writes[k].off)), cell(writes[k].end); i < last; i = find(i) {
			owner[i] = int32(k) + 1
			free[i] = int32(i) + 1
		}
	}
	o := &replayed{}
	for i, k := range owner {
		if k == 0 || borders[i] == borders[i+1] {
			continue
		}
		o.add(patch{borders[i], borders[i+1], writes[k-1].page})
	}
	return o
}
