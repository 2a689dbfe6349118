package vhdx

import (
	"encoding/binary"
	"hash/crc32"

	"ingest/internal/binio"
)

const (
	logSector       = 4 * kib
	entryHeader     = 64 // bytes
	descriptorBytes = 32
)

// A logRing is the log in memory: a ring of 4 KiB sectors (2.3).
type logRing struct {
	raw []byte // whole sectors
}

// A logEntry is a valid entry of the log (2.3.1).
type logEntry struct {
	at       int64 // offset in the log
	length   int64 // bytes
	tail     int64 // offset in the log of the sequence's first entry
	sequence uint64
	count    int64 // descriptors
	flushed  uint64
	last     uint64
}

// sector returns the sector that holds offset at, which may have passed the
// end of the ring once.
func (l logRing) sector(at int64) []byte {
	at = at / logSector * logSector % int64(len(l.raw))
	return l.raw[at : at+logSector]
}

func (l logRing) begins(at int64) bool { return string(l.sector(at)[:4]) == "loge" }

// entries returns all valid entries of the log with the given LogGuid, by
// their offset.
//
// The entries do not overlap: no sector of an entry but its first may have an
// entry's signature, as each begins with a descriptor or with "data". So the
// work of proving checksums is bounded by the length of the log, however many
// sectors look like an entry.
func (l logRing) entries(id guid) map[int64]logEntry {
	out := map[int64]logEntry{}
	for at := int64(0); at < int64(len(l.raw)); at += logSector {
		if !l.begins(at) {
			continue
		}
		if e, ok := l.entry(at, id); ok {
			out[at] = e
		}
	}
	return out
}

// entry decodes the entry at the given offset and reports whether it is valid.
func (l logRing) entry(at int64, id guid) (logEntry, bool) {
	le := binary.LittleEndian
	p := l.sector(at)
	e := logEntry{
		at:       at,
		length:   int64(le.Uint32(p[8:])),
		tail:     int64(le.Uint32(p[12:])),
		sequence: le.Uint64(p[16:]),
		count:    int64(le.Uint32(p[24:])),
		flushed:  le.Uint64(p[48:]),
		last:     le.Uint64(p[56:]),
	}
	if guid(p[32:48]) != id || e.sequence == 0 ||
		e.length < logSector || e.length%logSector != 0 || e.length > int64(len(l.raw)) ||
		e.tail%logSector != 0 || e.tail >= int64(len(l.raw)) ||
		e.dataAt() > e.length {
		return e, false
	}
	for off := int64(logSector); off < e.length; off += logSector {
		if l.begins(at + off) {
			return e, false
		}
	}
	return e, l.checksum(e) == le.Uint32(p[4:]) && l.descriptorsValid(e)
}

// dataAt returns where in the entry its data sectors begin.
func (e logEntry) dataAt() int64 {
	return binio.DivCeil(entryHeader+e.count*descriptorBytes, logSector) * logSector
}

// checksum returns the CRC-32C of the whole entry.
func (l logRing) checksum(e logEntry) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := checksum(l.sector(e.at))
	for off := int64(logSector); off < e.length; off += logSector {
		crc = crc32.Update(crc, table, l.sector(e.at+off))
	}
	return crc
}

// A descriptor is one write of an entry (2.3.1.2, 2.3.1.3).
type descriptor struct {
	raw  []byte
	page []byte // its data sector, nil if it writes zeros
}

func (d descriptor) off() uint64 { return binary.LittleEndian.Uint64(d.raw[16:]) }

// length returns how many bytes it writes.
func (d descriptor) length() uint64 {
	if d.page != nil {
		return logSector
	}
	return binary.LittleEndian.Uint64(d.raw[8:])
}

// valid reports whether descriptor and data sector belong to the entry.
func (d descriptor) valid(e logEntry) bool {
	le := binary.LittleEndian
	if le.Uint64(d.raw[24:]) != e.sequence || d.off()%logSector != 0 || d.length()%logSector != 0 {
		return false
	}
	if d.page == nil {
		return string(d.raw[:4]) == "zero"
	}
	return string(d.page[:4]) == "data" &&
		le.Uint32(d.page[4:]) == uint32(e.sequence>>32) && le.Uint32(d.page[logSector-4:]) == uint32(e.sequence)
}

// restore puts the bytes that the descriptor holds back into its data sector,
// in place, and returns it.
func (d descriptor) restore() []byte {
	copy(d.page, d.raw[8:16])
	copy(d.page[logSector-4:], d.raw[4:8])
	return d.page
}

// descriptors calls fn for each descriptor of the entry. It reports whether
// the entry has a data sector for each data descriptor and fn was content.
func (l logRing) descriptors(e logEntry, fn func(descriptor) bool) bool {
	data := e.dataAt()
	for i := range e.count {
		at := entryHeader + i*descriptorBytes
		d := descriptor{raw: l.sector(e.at + at)[at%logSector:][:descriptorBytes]}
		if string(d.raw[:4]) == "desc" {
			if data >= e.length {
				return false
			}
			d.page = l.sector(e.at + data)
			data += logSector
		}
		if !fn(d) {
			return false
		}
	}
	return true
}

func (l logRing) descriptorsValid(e logEntry) bool {
	return l.descriptors(e, func(d descriptor) bool { return d.valid(e) })
}

// active returns the entries of the active sequence, oldest first; none if the
// log has no valid sequence.
//
// Entries that follow each other form chains, which do not share any: of each
// only the last entry can be a head (2.3.3). The active sequence is that of the
// newest head whose tail lies in the head's own chain.
func (l logRing) active(id guid) []logEntry {
	all := l.entries(id)
	next := func(e logEntry) (logEntry, bool) {
		n, ok := all[(e.at+e.length)%int64(len(l.raw))]
		return n, ok && n.sequence == e.sequence+1
	}
	var best []logEntry
	for at := int64(0); at < int64(len(l.raw)); at += logSector {
		head, ok := all[at]
		if !ok || len(best) > 0 && head.sequence <= best[len(best)-1].sequence {
			continue
		}
		if _, ok := next(head); ok {
			continue
		}
		e, ok := all[head.tail]
		var run []logEntry
		for ok {
			run = append(run, e)
			if e.at == head.at {
				best = run
				break
			}
			e, ok = next(e)
		}
	}
	return best
}
