package vhdx

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf16"

	"ingest/internal/binio"
	"ingest/internal/imgtest"
)

// A builder makes VHDX files that qemu-img cannot.
type builder struct {
	disk     *imgtest.Disk
	block    int64
	logical  uint32
	flags    uint32
	logBytes int64
	// batLast puts the BAT behind the metadata region, which is behind the
	// blocks otherwise.
	batLast bool
	// state replaces the state of a payload block; a block that has none is
	// fully present if the disk has anything but holes in it.
	state map[int64]uint64
	// bitmaps is what the entries of sector bitmap blocks hold.
	bitmaps uint64
	locator []byte
	id      guid    // DataWriteGuid
	blocks  []int64 // present caches it
	// ours says of a sector of a partially present block that it is the
	// child's. Without it such a block is only marked.
	ours func(sector int64) bool

	batOff, metaOff int64
	hosts           map[int64]int64 // block: host offset
	maps            map[int64]int64 // chunk: host offset of its sector bitmap block
}

func newBuilder(disk *imgtest.Disk, block int64) *builder {
	return &builder{disk: disk, block: block, logical: 512, logBytes: mib, state: map[int64]uint64{}, hosts: map[int64]int64{}, maps: map[int64]int64{}}
}

func (b *builder) ratio() int64 { return int64(b.logical) << 23 / b.block }

// entryOff returns the host offset of the BAT entry of block i.
func (b *builder) entryOff(i int64) int64 { return b.batOff + 8*(i+i/b.ratio()) }

// mapOff returns the host offset of the BAT entry of a chunk's sector bitmap.
func (b *builder) mapOff(chunk int64) int64 {
	return b.batOff + 8*(chunk*(b.ratio()+1)+b.ratio())
}

// write writes the file through put and returns its size.
func (b *builder) write(put func(off int64, p []byte)) int64 {
	blocks := binio.DivCeil(b.disk.Size(), b.block)
	entries := blocks + (blocks-1)/b.ratio()
	if b.flags&hasParent != 0 {
		entries = binio.DivCeil(blocks, b.ratio()) * (b.ratio() + 1)
	}
	batLen := binio.DivCeil(8*entries, mib) * mib
	b.batOff, b.metaOff = mib+b.logBytes, mib+b.logBytes+batLen
	at := b.metaOff + mib
	if b.batLast {
		b.metaOff, b.batOff = mib+b.logBytes, mib+b.logBytes+mib
	}
	put(0, []byte(fileMagic))
	put(8, utf16le("ingest test"))
	header := b.header(7)
	put(header1Off, header)
	put(header2Off, header)
	table := b.regions(batLen)
	put(region1Off, table)
	put(region2Off, table)
	put(b.metaOff, b.metadata())
	entry := func(off int64, v uint64) {
		if v != 0 { // the file is sparse
			put(off, binary.LittleEndian.AppendUint64(nil, v))
		}
	}
	put(b.batOff+batLen-1, []byte{0})
	for _, i := range b.notHoles() {
		s, forced := b.state[i]
		if !forced {
			s = blockFullyPresent
		}
		if s == blockFullyPresent || s == blockPartiallyPresent && b.ours != nil {
			b.hosts[i] = at
			b.copyBlock(put, i, at)
			if s == blockPartiallyPresent {
				b.maps[i/b.ratio()] = 0
			}
			s |= uint64(at)
			at += b.block
		}
		entry(b.entryOff(i), s)
	}
	for _, c := range slices.Sorted(maps.Keys(b.maps)) {
		b.maps[c] = at
		b.copyBitmap(put, c, at)
		entry(b.mapOff(c), uint64(at)|bitmapPresent)
		at += bitmapBytes
	}
	for i := b.ratio(); b.bitmaps != 0 && i < blocks; i += b.ratio() {
		entry(b.entryOff(i)-8, b.bitmaps)
	}
	return at
}

// notHoles returns the blocks that have data or a state of their own,
// ascending.
func (b *builder) notHoles() []int64 {
	all := map[int64]bool{}
	for i := range b.state {
		all[i] = true
	}
	for off := int64(0); off < b.disk.Size(); {
		start, end, _ := b.disk.NextData(off)
		if start == end {
			break
		}
		all[start/b.block] = true
		off = (start/b.block + 1) * b.block
	}
	return slices.Sorted(maps.Keys(all))
}

func (b *builder) copyBlock(put func(int64, []byte), i, at int64) {
	end := min((i+1)*b.block, b.disk.Size())
	for off := i * b.block; off < end; {
		start, stop, _ := b.disk.NextData(off)
		if start == stop || start >= end {
			return
		}
		p := make([]byte, min(stop, end)-start)
		b.disk.ReadAt(p, start)
		put(at+start-i*b.block, p)
		off = start + int64(len(p))
	}
}

// copyBitmap writes the sector bitmap block of a chunk, in which the bits of
// blocks that are not partially present mean nothing, and are all set.
func (b *builder) copyBitmap(put func(int64, []byte), chunk, at int64) {
	p := bytes.Repeat([]byte{0xFF}, bitmapBytes)
	n := b.block / int64(b.logical) // bits of a block
	for i := chunk * b.ratio(); i < (chunk+1)*b.ratio(); i++ {
		if b.state[i] != blockPartiallyPresent {
			continue
		}
		for s := i * n; s < (i+1)*n; s++ {
			if k := s - chunk*b.ratio()*n; !b.ours(s) {
				p[k/8] &^= 1 << (k % 8)
			}
		}
	}
	put(at, p)
}

func (b *builder) header(sequence uint64) []byte {
	p := make([]byte, headerBytes)
	copy(p, headerMagic)
	le := binary.LittleEndian
	le.PutUint64(p[8:], sequence)
	copy(p[16:], bytes.Repeat([]byte{0xF1}, 16)) // FileWriteGuid, which says nothing
	copy(p[32:], b.id[:])
	le.PutUint16(p[66:], 1)
	le.PutUint32(p[68:], uint32(b.logBytes))
	le.PutUint64(p[72:], mib)
	seal(p)
	return p
}

func (b *builder) regions(batLen int64) []byte {
	p := make([]byte, regionTableBytes)
	copy(p, regionMagic)
	le := binary.LittleEndian
	le.PutUint32(p[8:], 2)
	bat, metadata := knownRegions()
	for i, r := range []struct {
		id       guid
		off, len int64
	}{{bat, b.batOff, batLen}, {metadata, b.metaOff, mib}} {
		if b.batLast {
			i = 1 - i
		}
		q := p[16+32*i:]
		copy(q, r.id[:])
		le.PutUint64(q[16:], uint64(r.off))
		le.PutUint32(q[24:], uint32(r.len))
		q[28] = 1
	}
	seal(p)
	return p
}

func (b *builder) metadata() []byte {
	le := binary.LittleEndian
	items := [][]byte{
		le.AppendUint32(le.AppendUint32(nil, uint32(b.block)), b.flags),
		le.AppendUint64(nil, uint64(b.disk.Size())),
		bytes.Repeat([]byte{9}, 16),
		le.AppendUint32(nil, b.logical),
		le.AppendUint32(nil, 4096),
	}
	if b.locator != nil {
		items = append(items, b.locator)
	}
	p := make([]byte, 2*metadataTableBytes)
	copy(p, metadataMagic)
	le.PutUint16(p[10:], uint16(len(items)))
	at := metadataTableBytes
	for k, item := range items {
		q := p[32+32*k:]
		id := itemKind(k).spec().id
		copy(q, id[:])
		le.PutUint32(q[16:], uint32(at))
		le.PutUint32(q[20:], uint32(len(item)))
		q[24] = itemIsRequired
		at += copy(p[at:], item)
	}
	return p
}

// bytes returns the file in memory.
func (b *builder) bytes() []byte {
	var out []byte
	size := b.write(func(off int64, p []byte) {
		if need := off + int64(len(p)); need > int64(len(out)) {
			out = append(out, make([]byte, need-int64(len(out)))...)
		}
		copy(out[off:], p)
	})
	return append(out, make([]byte, size-int64(len(out)))...)
}

// file returns the path of the file, written sparsely.
func (b *builder) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "built.vhdx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := b.write(func(off int64, p []byte) {
		if _, err := f.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	})
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

// seal makes the checksum of a header, a region table or a log entry right.
func seal(p []byte) { binary.LittleEndian.PutUint32(p[4:], checksum(p)) }

func utf16le(s string) []byte {
	var p []byte
	for _, u := range utf16.Encode([]rune(s)) {
		p = binary.LittleEndian.AppendUint16(p, u)
	}
	return p
}

// locatorOf returns a parent locator with the given keys and values.
func locatorOf(pairs ...[2]string) []byte {
	id := locatorVHDX()
	p := append(id[:], 0, 0, byte(len(pairs)), 0)
	at := len(p) + locatorEntryBytes*len(pairs)
	var strings []byte
	le := binary.LittleEndian
	for _, kv := range pairs {
		k, v := utf16le(kv[0]), utf16le(kv[1])
		p = le.AppendUint32(p, uint32(at))
		p = le.AppendUint32(p, uint32(at+len(k)))
		p = le.AppendUint16(p, uint16(len(k)))
		p = le.AppendUint16(p, uint16(len(v)))
		strings = append(append(strings, k...), v...)
		at += len(k) + len(v)
	}
	return append(p, strings...)
}

// logGUID is the one under which tests write logs.
var logGUID = guid{1, 2, 3, 4, 5}

// A logged is a log entry to be written.
type logged struct {
	at       int64 // offset in the log
	tail     int64
	sequence uint64
	id       guid // logGUID if zero
	flushed  int64
	last     int64
	writes   []write
}

// A write is a descriptor: zeros, or data of 4 KiB.
type write struct {
	off  int64
	zero int64
	data []byte
}

// bytes returns the entry as it lies in the log.
func (e logged) bytes() []byte {
	le := binary.LittleEndian
	id := e.id
	if id == (guid{}) {
		id = logGUID
	}
	p := make([]byte, binio.DivCeil(entryHeader+descriptorBytes*int64(len(e.writes)), logSector)*logSector)
	copy(p, "loge")
	le.PutUint32(p[12:], uint32(e.tail))
	le.PutUint64(p[16:], e.sequence)
	le.PutUint32(p[24:], uint32(len(e.writes)))
	copy(p[32:], id[:])
	le.PutUint64(p[48:], uint64(e.flushed))
	le.PutUint64(p[56:], uint64(e.last))
	for i, w := range e.writes {
		d := p[entryHeader+descriptorBytes*i:][:descriptorBytes]
		le.PutUint64(d[16:], uint64(w.off))
		le.PutUint64(d[24:], e.sequence)
		if w.data == nil {
			copy(d, "zero")
			le.PutUint64(d[8:], uint64(w.zero))
			continue
		}
		copy(d, "desc")
		copy(d[8:], w.data[:8])
		copy(d[4:], w.data[logSector-4:])
		page := bytes.Clone(w.data)
		copy(page, "data")
		le.PutUint32(page[4:], uint32(e.sequence>>32))
		le.PutUint32(page[logSector-4:], uint32(e.sequence))
		p = append(p, page...)
	}
	le.PutUint32(p[8:], uint32(len(p)))
	seal(p)
	return p
}

// dirty marks the file as having a log and puts the entries into it.
func dirty(file []byte, logBytes int64, entries ...logged) []byte {
	for _, at := range []int64{header1Off, header2Off} {
		h := file[at:][:headerBytes]
		copy(h[48:], logGUID[:])
		seal(h)
	}
	for _, e := range entries {
		putLog(file, logBytes, e.at, e.bytes())
	}
	return file
}

// putLog puts bytes into the ring, around its end if need be.
func putLog(file []byte, logBytes, at int64, p []byte) {
	ring := file[mib:][:logBytes]
	n := copy(ring[at:], p)
	copy(ring, p[n:])
}

// pages cuts p into writes of 4 KiB from off on.
func pages(off int64, p []byte) []write {
	var out []write
	for i := 0; i < len(p); i += logSector {
		out = append(out, write{off: off + int64(i), data: bytes.Clone(p[i : i+logSector])})
	}
	return out
}
