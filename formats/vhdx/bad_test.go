package vhdx

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// A mutation changes an image and makes its checksums right again.
type mutation = func(f []byte) []byte

func all(ms ...mutation) mutation {
	return func(f []byte) []byte {
		for _, m := range ms {
			f = m(f)
		}
		return f
	}
}

// head overwrites bytes of both headers.
func head(rel int, p ...byte) mutation {
	return func(f []byte) []byte {
		for _, at := range []int{header1Off, header2Off} {
			copy(f[at+rel:], p)
			seal(f[at:][:headerBytes])
		}
		return f
	}
}

// regi overwrites bytes of both region tables.
func regi(rel int, p ...byte) mutation {
	return func(f []byte) []byte {
		for _, at := range []int{region1Off, region2Off} {
			copy(f[at+rel:], p)
			seal(f[at:][:regionTableBytes])
		}
		return f
	}
}

// Where the parts of badDisk's file lie.
const (
	badBAT  = 2 * mib
	badMeta = 3 * mib
	// badItems are the offsets of the items in the metadata region.
	badParams, badSize, badLogical, badPhysical = 64 * kib, 64*kib + 8, 64*kib + 32, 64*kib + 36
)

// meta overwrites bytes of the metadata region.
func meta(rel int, p ...byte) mutation { return formattest.Set(badMeta+rel, p...) }

// entry overwrites the BAT entry of a block.
func entry(i int, v uint64) mutation { return formattest.Set(badBAT+8*i, le64(v)...) }

// logOf makes the file dirty with the given entries.
func logOf(entries ...logged) mutation {
	return func(f []byte) []byte { return dirty(f, mib, entries...) }
}

func le16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func small(fn func(*formats.Limits)) *formats.Limits {
	l := formats.DefaultLimits()
	fn(&l)
	return &l
}

func same(f []byte) []byte { return f }

// badDisk has blocks 0, 1, 2 and 4 at 4, 5, 6 and 7 MiB.
func badDisk() *builder {
	return newBuilder(imgtest.New(5*mib, 1, imgtest.Run{Off: 0, Len: 3 * mib, Kind: imgtest.Noise},
		imgtest.Run{Off: 4 * mib, Len: mib, Kind: imgtest.Noise}), mib)
}

func TestRefused(t *testing.T) {
	const present = blockFullyPresent
	formattest.Refused(t, Format{}, badDisk().bytes(), []formattest.Bad{
		{Name: "empty file", Make: func([]byte) []byte { return nil }, Want: errcode.FormatMismatch},
		{Name: "not a vhdx", Make: formattest.Set(0, 'V'), Want: errcode.FormatMismatch},
		{Name: "magic only", Make: func(f []byte) []byte { return f[:8] }, Want: errcode.Truncated},
		{Name: "cut within the header section", Make: func(f []byte) []byte { return f[:mib-1] }, Want: errcode.Truncated},
		{Name: "cut within the log", Make: func(f []byte) []byte { return f[:2*mib-1] }, Want: errcode.Truncated},
		{Name: "cut before the BAT's end", Make: func(f []byte) []byte { return f[:badBAT+8] }, Want: errcode.Truncated},
		{Name: "cut before the last block", Make: formattest.Cut(mib), Want: errcode.Truncated},
		{Name: "cut within the last block but one", Make: formattest.Cut(mib + 5), Want: errcode.Truncated},

		{Name: "both headers damaged", Make: all(formattest.Set(header1Off+200, 1), formattest.Set(header2Off+200, 1)), Want: errcode.VHDXChecksum},
		{Name: "one header damaged, one missing", Make: all(formattest.Set(header1Off, 1), formattest.Set(header2Off+200, 1)), Want: errcode.VHDXChecksum},
		{Name: "no header", Make: all(formattest.Set(header1Off, 1), formattest.Set(header2Off, 1)), Want: errcode.VHDXHeader},
		{Name: "equal sequence numbers, different headers", Make: func(f []byte) []byte {
			f[header2Off+20] ^= 1
			seal(f[header2Off:][:headerBytes])
			return f
		}, Want: errcode.VHDXHeader},
		{Name: "version 2", Make: head(66, 2), Want: errcode.VHDXHeader},
		{Name: "log length odd", Make: head(68, le32(mib+4096)...), Want: errcode.VHDXHeader},
		{Name: "log offset odd", Make: head(72, le64(mib+4096)...), Want: errcode.VHDXHeader},
		{Name: "log in the header section", Make: head(72, le64(0)...), Want: errcode.VHDXHeader},
		{Name: "log past the end", Make: head(72, le64(1<<62)...), Want: errcode.Truncated},
		{Name: "log of 4 GiB", Make: head(68, le32(0xFFF00000)...), Want: errcode.Truncated},

		{Name: "both region tables damaged", Make: all(formattest.Set(region1Off+4000, 1), formattest.Set(region2Off+4000, 1)), Want: errcode.VHDXChecksum},
		{Name: "no region table", Make: all(formattest.Set(region1Off, 1), formattest.Set(region2Off, 1)), Want: errcode.VHDXRegion},
		{Name: "two region tables", Make: func(f []byte) []byte {
			f[region2Off+100] ^= 1
			seal(f[region2Off:][:regionTableBytes])
			return f
		}, Want: errcode.VHDXRegion},
		{Name: "2048 regions", Make: regi(8, le32(2048)...), Want: errcode.VHDXRegion},
		{Name: "one region", Make: regi(8, le32(1)...), Want: errcode.VHDXRegion},
		{Name: "BAT twice", Make: all(regi(8, le32(3)...), func(f []byte) []byte { return regi(16+64, f[region1Off+16:][:16]...)(f) }), Want: errcode.VHDXRegion},
		{Name: "unknown region that is required", Make: all(regi(8, le32(3)...), regi(16+64+16, append(le64(20*mib), append(le32(0), 1)...)...), regi(16+64+16, le64(4*mib)...)), Want: errcode.VHDXRegion},
		{Name: "BAT offset odd", Make: regi(16+16, le64(badBAT+4096)...), Want: errcode.VHDXRegion},
		{Name: "BAT in the header section", Make: regi(16+16, le64(0)...), Want: errcode.VHDXRegion},
		{Name: "BAT length odd", Make: regi(16+24, le32(mib-1)...), Want: errcode.VHDXRegion},
		{Name: "BAT length 0", Make: regi(16+24, le32(0)...), Want: errcode.VHDXRegion},
		{Name: "BAT past the end", Make: regi(16+16, le64(1<<63)...), Want: errcode.Truncated},
		{Name: "BAT over the log", Make: regi(16+16, le64(mib)...), Want: errcode.VHDXRegion},
		{Name: "BAT over the metadata", Make: regi(16+24, le32(2*mib)...), Want: errcode.VHDXRegion},
		{Name: "BAT too short", Make: all(meta(badSize, le64(1<<40)...)), Want: errcode.VHDXRegion},

		{Name: "metadata without magic", Make: meta(0, 'M'), Want: errcode.VHDXMetadata},
		{Name: "2048 metadata items", Make: meta(10, le16(2048)...), Want: errcode.VHDXMetadata},
		{Name: "an item missing", Make: meta(10, le16(4)...), Want: errcode.VHDXMetadata},
		{Name: "an item twice", Make: all(meta(10, le16(6)...), func(f []byte) []byte { return meta(32+5*32, f[badMeta+32:][:32]...)(f) }), Want: errcode.VHDXMetadata},
		{Name: "unknown item that is required", Make: all(meta(10, le16(6)...), meta(32+5*32+24, itemIsRequired)), Want: errcode.VHDXMetadata},
		{Name: "known item that is the user's", Make: meta(32+24, itemIsUser), Want: errcode.VHDXMetadata},
		{Name: "item in the table", Make: meta(32+16, le32(32)...), Want: errcode.VHDXMetadata},
		{Name: "item past the region", Make: meta(32+16, le32(mib-7)...), Want: errcode.VHDXMetadata},
		{Name: "item offset all ones", Make: meta(32+16, le32(1<<32-1)...), Want: errcode.VHDXMetadata},
		{Name: "item of 2 MiB", Make: meta(32+20, le32(2*mib)...), Want: errcode.VHDXMetadata},
		{Name: "item of the wrong length", Make: meta(32+20, le32(4)...), Want: errcode.VHDXMetadata},
		{Name: "items overlap", Make: meta(32+32+16, le32(badParams+4)...), Want: errcode.VHDXMetadata},

		{Name: "block size 0", Make: meta(badParams, le32(0)...), Want: errcode.VHDXMetadata},
		{Name: "block size 512 KiB", Make: meta(badParams, le32(512*kib)...), Want: errcode.VHDXMetadata},
		{Name: "block size 3 MiB", Make: meta(badParams, le32(3*mib)...), Want: errcode.VHDXMetadata},
		{Name: "block size 512 MiB", Make: meta(badParams, le32(512*mib)...), Want: errcode.VHDXMetadata},
		{Name: "unknown file parameters", Make: meta(badParams+4, 4), Want: errcode.VHDXMetadata},
		{Name: "parent without a locator", Make: meta(badParams+4, hasParent), Want: errcode.VHDXMetadata},
		{Name: "sectors of 520 bytes", Make: meta(badLogical, le32(520)...), Want: errcode.VHDXMetadata},
		{Name: "physical sectors of 0 bytes", Make: meta(badPhysical, le32(0)...), Want: errcode.VHDXMetadata},
		{Name: "size 0", Make: meta(badSize, le64(0)...), Want: errcode.VirtualSizeZero},
		{Name: "size odd", Make: meta(badSize, le64(5*mib-1)...), Want: errcode.SizeUnaligned},
		{Name: "size not of 4096 byte sectors", Make: all(meta(badSize, le64(5*mib-512)...), meta(badLogical, le32(4096)...)), Want: errcode.SizeUnaligned},
		{Name: "size of 64 TiB and a sector", Make: meta(badSize, le64(64<<40+512)...), Want: errcode.VirtualSizeTooLarge},
		{Name: "size that 32 bits cut to one block", Make: meta(badSize, le64(1<<52+mib)...), Want: errcode.VirtualSizeTooLarge},
		{Name: "size all ones", Make: meta(badSize, le64(1<<64-512)...), Want: errcode.VirtualSizeTooLarge},
		{Name: "size above the limit", Make: same, Want: errcode.VirtualSizeTooLarge, Limits: small(func(l *formats.Limits) { l.VirtualSize = 5*mib - 1 })},

		{Name: "block partially present", Make: entry(3, 9*mib|blockPartiallyPresent), Want: errcode.TableBounds},
		{Name: "state 4", Make: entry(3, 4), Want: errcode.TableBounds},
		{Name: "reserved bits", Make: entry(2, 6*mib|1<<10|present), Want: errcode.TableBounds},
		{Name: "block past the end", Make: entry(3, 8*mib|present), Want: errcode.Truncated},
		{Name: "block at the highest offset", Make: entry(3, entryOffset|present), Want: errcode.Truncated},
		{Name: "block in the header section", Make: entry(3, present), Want: errcode.AliasedBlocks},
		{Name: "block in the log", Make: entry(3, mib|present), Want: errcode.AliasedBlocks},
		{Name: "block in the BAT", Make: entry(3, badBAT|present), Want: errcode.AliasedBlocks},
		{Name: "block in the metadata", Make: entry(3, badMeta|present), Want: errcode.AliasedBlocks},
		{Name: "two blocks in one place", Make: entry(3, 5*mib|present), Want: errcode.AliasedBlocks},
	})
}

func TestRefusedBlocksOfTwoMiB(t *testing.T) {
	b := badDisk()
	b.block = 2 * mib
	formattest.Refused(t, Format{}, b.bytes(), []formattest.Bad{
		{Name: "blocks overlap by half", Make: entry(1, 5*mib|blockFullyPresent), Want: errcode.AliasedBlocks},
		{Name: "block begins before the metadata's end", Make: entry(1, 3*mib|blockFullyPresent), Want: errcode.AliasedBlocks},
		{Name: "block ends in the log", Make: entry(1, blockFullyPresent), Want: errcode.AliasedBlocks},
		{Name: "virtual end shared", Make: all(entry(1, 9*mib|blockFullyPresent), func(f []byte) []byte { return append(f, make([]byte, 2*mib)...) }), Want: errcode.AliasedBlocks},
	})
}

func TestRefusedLogs(t *testing.T) {
	const n = logSector
	ok := logged{sequence: 1, writes: []write{{off: 7 * mib, zero: n}}}
	broken := func(change func(p []byte)) mutation {
		return func(f []byte) []byte {
			p := logged{sequence: 1 << 33, writes: append(pages(badBAT, junk(n)), write{off: 7 * mib, zero: n})}.bytes()
			change(p)
			seal(p)
			putLog(f, mib, 0, p)
			return dirty(f, mib)
		}
	}
	formattest.Refused(t, Format{}, logOf(ok)(badDisk().bytes()), []formattest.Bad{
		{Name: "empty log", Make: func(f []byte) []byte { clear(f[mib : 2*mib]); return f }, Want: errcode.VHDXLogInvalid},
		{Name: "log of no bytes", Make: head(68, le32(0)...), Want: errcode.VHDXLogInvalid},
		{Name: "log version 1", Make: head(64, 1), Want: errcode.VHDXLogInvalid},
		{Name: "entry's checksum", Make: formattest.Set(mib+100, 9), Want: errcode.VHDXLogInvalid},
		{Name: "entry of another log", Make: logOf(logged{sequence: 1, id: guid{8}}), Want: errcode.VHDXLogInvalid},
		{Name: "sequence number 0", Make: broken(func(p []byte) { clear(p[16:24]) }), Want: errcode.VHDXLogInvalid},
		{Name: "entry length 0", Make: broken(func(p []byte) { clear(p[8:12]) }), Want: errcode.VHDXLogInvalid},
		{Name: "entry length odd", Make: broken(func(p []byte) { p[8] = 1 }), Want: errcode.VHDXLogInvalid},
		{Name: "entry longer than the log", Make: broken(func(p []byte) { copy(p[8:], le32(2*mib)) }), Want: errcode.VHDXLogInvalid},
		{Name: "entry of 4 GiB", Make: broken(func(p []byte) { copy(p[8:], le32(0xFFFFF000)) }), Want: errcode.VHDXLogInvalid},
		{Name: "descriptors that 32 bits cut to none", Make: broken(func(p []byte) { copy(p[24:], le32(1<<27)) }), Want: errcode.VHDXLogInvalid},
		{Name: "descriptor count all ones", Make: broken(func(p []byte) { copy(p[24:], le32(1<<32-1)) }), Want: errcode.VHDXLogInvalid},
		{Name: "descriptor without a signature", Make: broken(func(p []byte) { p[64] = 'X' }), Want: errcode.VHDXLogInvalid},
		{Name: "descriptor of another entry", Make: broken(func(p []byte) { p[64+24]++ }), Want: errcode.VHDXLogInvalid},
		{Name: "descriptor offset odd", Make: broken(func(p []byte) { p[64+16] = 1 }), Want: errcode.VHDXLogInvalid},
		{Name: "zero length odd", Make: broken(func(p []byte) { p[96+8] = 1 }), Want: errcode.VHDXLogInvalid},
		{Name: "data sector without a signature", Make: broken(func(p []byte) { p[n] = 'X' }), Want: errcode.VHDXLogInvalid},
		{Name: "data sector's high sequence", Make: broken(func(p []byte) { p[n+4]++ }), Want: errcode.VHDXLogInvalid},
		{Name: "data sector's low sequence", Make: broken(func(p []byte) { p[2*n-4]++ }), Want: errcode.VHDXLogInvalid},
		{Name: "data sector missing", Make: broken(func(p []byte) { copy(p[96:], "desc") }), Want: errcode.VHDXLogInvalid},
		{Name: "tail outside the log", Make: logOf(logged{sequence: 1, tail: mib}), Want: errcode.VHDXLogInvalid},
		{Name: "tail odd", Make: logOf(logged{sequence: 1, tail: 512}), Want: errcode.VHDXLogInvalid},
		{Name: "tail is no entry", Make: logOf(logged{sequence: 1, tail: 20 * n}), Want: errcode.VHDXLogInvalid},
		{Name: "gap in the sequence", Make: logOf(logged{sequence: 1, tail: 5 * n}, logged{at: n, sequence: 3, tail: 0}), Want: errcode.VHDXLogInvalid},
		{Name: "file shorter than flushed", Make: logOf(logged{sequence: 1, flushed: 8*mib + 1}), Want: errcode.Truncated},
		{Name: "flushed all ones", Make: logOf(logged{sequence: 1, flushed: -1}), Want: errcode.Truncated},
		{Name: "last offset all ones", Make: logOf(logged{sequence: 1, last: -1}), Want: errcode.VHDXLogInvalid},
		{Name: "last offset beyond what can be checked", Make: logOf(logged{sequence: 1, last: maxFileBytes}), Want: errcode.ParserLimit},
		{Name: "writes at the highest offset", Make: logOf(logged{sequence: 1, writes: []write{{off: -n, zero: n}}}), Want: errcode.VHDXLogInvalid},
		{Name: "writes more than there is", Make: logOf(logged{sequence: 1, writes: []write{{off: n, zero: -n}}}), Want: errcode.VHDXLogInvalid},
		{Name: "more writes than the limit", Make: same, Want: errcode.ParserLimit, Limits: small(func(l *formats.Limits) { l.TableBytes = writeBytes - 1 })},
		{Name: "damages the region table", Make: logOf(logged{sequence: 1, writes: []write{{off: region1Off, zero: 128 * kib}}}), Want: errcode.VHDXRegion},
		{Name: "damages the BAT", Make: logOf(logged{sequence: 1, writes: pages(badBAT, junk(n))}), Want: errcode.TableBounds},
	})
}

func TestRefusedDifferencing(t *testing.T) {
	b := badDisk()
	b.locator = locatorOf([2]string{"parent_linkage", "x"}, [2]string{"relative_path", "y"})
	good := b.bytes() // the locator means nothing yet
	child := meta(badParams+4, hasParent)
	const locator = 64*kib + 40
	formattest.Refused(t, Format{}, good, []formattest.Bad{
		{Name: "differencing", Make: child, Want: errcode.VHDXDifferencing},
		{Name: "differencing, locator of another type", Make: all(child, meta(locator, 0)), Want: errcode.VHDXDifferencing},
		{Name: "locator too short", Make: all(child, meta(32+5*32+20, le32(19)...)), Want: errcode.VHDXMetadata},
		{Name: "locator of 65535 entries", Make: all(child, meta(locator+18, 0xFF, 0xFF)), Want: errcode.VHDXMetadata},
		{Name: "key past the locator", Make: all(child, meta(locator+20, le32(1<<32-1)...)), Want: errcode.VHDXMetadata},
		{Name: "value past the locator", Make: all(child, meta(locator+20+10, 0xFF, 0xFF)), Want: errcode.VHDXMetadata},
		{Name: "locator above the limit", Make: child, Want: errcode.TableBounds, Limits: small(func(l *formats.Limits) { l.DescriptorBytes = 100 })},
	})
}

func TestLimitsHoldExactly(t *testing.T) {
	f := badDisk().bytes()
	for off, want := range map[int64]errcode.Code{0: "", -1: errcode.VirtualSizeTooLarge} {
		lim := formats.DefaultLimits()
		lim.VirtualSize = 5*mib + off
		_, err := Format{}.Open(bytes.NewReader(f), int64(len(f)), lim)
		if got := errcode.Of(err); got != want {
			t.Errorf("limit %d below the virtual size: %q, want %q", -off, got, want)
		}
	}
	lim := formats.DefaultLimits()
	lim.TableBytes = writeBytes
	dirtied := logOf(logged{sequence: 1, writes: []write{{off: 7 * mib, zero: 4096}}})(f)
	if _, err := (Format{}).Open(bytes.NewReader(dirtied), int64(len(dirtied)), lim); err != nil {
		t.Errorf("one write within the limit of one: %v", err)
	}
}
