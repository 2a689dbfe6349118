package qcow2

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// goodImage returns an image of 1 MiB with 64 KiB clusters made by qemu-img:
// text and noise at its begin.
func goodImage(t testing.TB, options ...string) []byte {
	t.Helper()
	disk := imgtest.New(1<<20, 9, imgtest.Run{Off: 0, Len: 150 << 10, Kind: imgtest.Text},
		imgtest.Run{Off: 300 << 10, Len: 100 << 10, Kind: imgtest.Noise})
	b, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "qcow2", options...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put32(off int, v uint32) func([]byte) []byte {
	return formattest.Set(off, binary.BigEndian.AppendUint32(nil, v)...)
}

func put64(off int, v uint64) func([]byte) []byte {
	return formattest.Set(off, binary.BigEndian.AppendUint64(nil, v)...)
}

// l1Entry and l2Entry overwrite entry i of the L1 and of the first L2 table.
func l1Entry(i int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		return put64(int(binary.BigEndian.Uint64(b[40:]))+8*i, v)(b)
	}
}

func l2Entry(i int, change func(old uint64) uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		l1 := binary.BigEndian.Uint64(b[40:])
		at := int(binary.BigEndian.Uint64(b[l1:])&entryOffset) + 8*i
		return put64(at, change(binary.BigEndian.Uint64(b[at:])))(b)
	}
}

func to(v uint64) func(uint64) uint64 { return func(uint64) uint64 { return v } }

// extension puts a header extension right behind the header.
func extension(kind, length uint32, data string) func([]byte) []byte {
	return func(b []byte) []byte {
		at := int(binary.BigEndian.Uint32(b[100:]))
		clear(b[at : at+64])
		put32(at, kind)(b)
		put32(at+4, length)(b)
		copy(b[at+8:], data)
		return b
	}
}

func both(fns ...func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, fn := range fns {
			b = fn(b)
		}
		return b
	}
}

func TestBadImagesAreRefused(t *testing.T) {
	small := formats.DefaultLimits()
	small.VirtualSize = 1<<20 - 1
	tight := formats.DefaultLimits()
	tight.TableBytes = 7
	fine := formats.DefaultLimits()
	fine.BlockBytes = 1<<16 - 1
	formattest.Refused(t, Format{}, goodImage(t), []formattest.Bad{
		{Name: "empty", Make: func([]byte) []byte { return nil }, Want: errcode.Truncated},
		{Name: "header cut", Make: func(b []byte) []byte { return b[:90] }, Want: errcode.Truncated},
		{Name: "magic", Make: formattest.Set(0, 'X'), Want: errcode.FormatUnknown},
		{Name: "version 1", Make: put32(4, 1), Want: errcode.QCOW2Version},
		{Name: "version 4", Make: put32(4, 4), Want: errcode.QCOW2Version},
		{Name: "cluster bits 8", Make: put32(20, 8), Want: errcode.QCOW2ClusterBits},
		{Name: "cluster bits 22", Make: put32(20, 22), Want: errcode.QCOW2ClusterBits},
		{Name: "cluster bits 63", Make: put32(20, 63), Want: errcode.QCOW2ClusterBits},
		{Name: "extended with small clusters", Make: both(put32(20, 13), put64(72, featureExtendedL2)), Want: errcode.QCOW2ClusterBits},
		{Name: "virtual size 0", Make: put64(24, 0), Want: errcode.VirtualSizeZero},
		{Name: "virtual size 2^63", Make: put64(24, 1<<63), Want: errcode.VirtualSizeTooLarge},
		{Name: "virtual size above limit", Make: put64(24, 1<<20), Want: errcode.VirtualSizeTooLarge, Limits: &small},
		{Name: "backing file", Make: both(put64(8, 1024), put32(16, 11), formattest.Set(1024, []byte("/etc/passwd")...)), Want: errcode.QCOW2BackingFile},
		{Name: "backing file size only", Make: put32(16, 11), Want: errcode.QCOW2BackingFile},
		{Name: "backing file far away", Make: both(put64(8, 1<<62), put32(16, 0xFFFFFFFF)), Want: errcode.QCOW2BackingFile},
		{Name: "backing format", Make: extension(extBackingFormat, 3, "raw"), Want: errcode.QCOW2BackingFile},
		{Name: "data file bit", Make: put64(72, featureDataFile), Want: errcode.QCOW2DataFile},
		{Name: "data file name", Make: extension(extDataFile, 15, "json:{\"file\":1}"), Want: errcode.QCOW2DataFile},
		{Name: "raw data file", Make: put64(88, autoclearRawData), Want: errcode.QCOW2DataFile},
		{Name: "encrypted", Make: put32(32, 1), Want: errcode.QCOW2Encrypted},
		{Name: "LUKS", Make: extension(extLUKS, 16, ""), Want: errcode.QCOW2Encrypted},
		{Name: "corrupt", Make: put64(72, featureCorrupt), Want: errcode.QCOW2Corrupt},
		{Name: "unknown feature", Make: put64(72, 1<<5), Want: errcode.QCOW2Feature},
		{Name: "unknown feature 63", Make: put64(72, 1<<63|featureCorrupt), Want: errcode.QCOW2Feature},
		{Name: "compression type", Make: both(put64(72, featureCompression), formattest.Set(104, 2)), Want: errcode.QCOW2Compression},
		{Name: "compression bit without type", Make: put64(72, featureCompression), Want: errcode.QCOW2Compression},
		{Name: "compression type without bit", Make: formattest.Set(104, 1), Want: errcode.QCOW2Compression},
		{Name: "header length 96", Make: put32(100, 96), Want: errcode.QCOW2Header},
		{Name: "header length odd", Make: put32(100, 107), Want: errcode.QCOW2Header},
		{Name: "header length huge", Make: put32(100, 0xFFFFFFF0), Want: errcode.QCOW2Header},
		{Name: "refcount order", Make: put32(96, 7), Want: errcode.QCOW2Header},
		{Name: "extension too long", Make: extension(0x12345678, 0xFFFFFFFF, ""), Want: errcode.QCOW2Header},
		{Name: "L1 too small", Make: put32(36, 0), Want: errcode.TableBounds},
		{Name: "L1 too large", Make: put32(36, 0xFFFFFFFF), Want: errcode.TableBounds},
		{Name: "L1 at one above the bound", Make: put32(36, maxL1Bytes/8+1), Want: errcode.TableBounds},
		{Name: "L1 above limit", Make: func(b []byte) []byte { return b }, Want: errcode.ParserLimit, Limits: &tight},
		{Name: "clusters above limit", Make: func(b []byte) []byte { return b }, Want: errcode.ParserLimit, Limits: &fine},
		{Name: "L1 misaligned", Make: put64(40, 0x30200), Want: errcode.TableBounds},
		{Name: "L1 on the header", Make: put64(40, 0), Want: errcode.TableBounds},
		{Name: "L1 beyond the file", Make: put64(40, 1<<40), Want: errcode.Truncated},
		{Name: "L1 negative", Make: put64(40, 0xFFFFFFFFFFFF0000), Want: errcode.TableBounds},
		{Name: "refcount table empty", Make: put32(56, 0), Want: errcode.TableBounds},
		{Name: "refcount table huge", Make: put32(56, 129), Want: errcode.TableBounds},
		{Name: "refcount table misaligned", Make: put64(48, 513), Want: errcode.TableBounds},
		{Name: "snapshots too many", Make: put32(60, 65536+1), Want: errcode.TableBounds},
		{Name: "snapshots beyond the file", Make: both(put32(60, 1), put64(64, 1<<40)), Want: errcode.Truncated},
		{Name: "L1 entry reserved", Make: l1Entry(0, 1<<60), Want: errcode.TableBounds},
		{Name: "L1 entry misaligned", Make: l1Entry(0, 0x40200), Want: errcode.TableBounds},
		{Name: "L1 entry beyond the file", Make: l1Entry(0, 1<<50), Want: errcode.Truncated},
		{Name: "L2 is the L1 table", Make: func(b []byte) []byte { return l1Entry(0, binary.BigEndian.Uint64(b[40:]))(b) }, Want: errcode.AliasedBlocks},
		{Name: "L2 entry reserved", Make: l2Entry(0, func(e uint64) uint64 { return e | 2 }), Want: errcode.TableBounds},
		{Name: "L2 entry misaligned", Make: l2Entry(0, func(e uint64) uint64 { return e + 512 }), Want: errcode.TableBounds},
		{Name: "L2 entry beyond the file", Make: l2Entry(0, to(1<<50)), Want: errcode.Truncated},
		{Name: "zero cluster in version 2", Make: both(put32(4, 2), l2Entry(0, to(entryZero)), clearFrom(72)), Want: errcode.TableBounds},
		{Name: "two clusters share one", Make: func(b []byte) []byte {
			l1 := binary.BigEndian.Uint64(b[40:])
			l2 := binary.BigEndian.Uint64(b[l1:]) & entryOffset
			copy(b[l2+8:l2+16], b[l2:l2+8])
			return b
		}, Want: errcode.AliasedBlocks},
		{Name: "cluster is the refcount table", Make: func(b []byte) []byte {
			return l2Entry(15, to(binary.BigEndian.Uint64(b[48:])))(b)
		}, Want: errcode.AliasedBlocks},
		{Name: "compressed on the header", Make: l2Entry(0, to(entryCompressed|512)), Want: errcode.TableBounds},
		{Name: "compressed beyond the file", Make: l2Entry(0, to(entryCompressed|1<<40)), Want: errcode.Truncated},
		{Name: "compressed shares a plain cluster", Make: l2Entry(1, func(e uint64) uint64 { return e&entryOffset - 1<<16 | entryCompressed }), Want: errcode.AliasedBlocks},
		{Name: "file cut", Make: formattest.Cut(130 << 10), Want: errcode.Truncated},
		{Name: "refcount block beyond the file", Make: func(b []byte) []byte {
			return put64(int(binary.BigEndian.Uint64(b[48:])), 1<<40)(b)
		}, Want: errcode.Truncated},
	})
}

// clearFrom zeroes the rest of the first kilobyte.
func clearFrom(off int) func([]byte) []byte {
	return func(b []byte) []byte { clear(b[off:1024]); return b }
}

func TestBadCompressedImagesAreRefused(t *testing.T) {
	strict := formats.DefaultLimits()
	strict.ExpansionRatio = 2
	for _, options := range [][]string{{"-c"}, {"-c", "compression_type=zstd"}} {
		formattest.Refused(t, Format{}, goodImage(t, options...), []formattest.Bad{
			{Name: "garbled", Make: func(b []byte) []byte {
				at := firstCompressed(b)
				copy(b[at:], bytes.Repeat([]byte{0xFF}, 64))
				return b
			}, Want: errcode.CompressionCorrupt},
			{Name: "fewer sectors than it needs", Make: l2Entry(0, func(e uint64) uint64 { return e &^ (0xFF << 54) }), Want: errcode.CompressionCorrupt},
			{Name: "expansion", Make: func(b []byte) []byte { return b }, Want: errcode.ExpansionRatio, Limits: &strict},
			{Name: "bomb of one cluster", Make: func(b []byte) []byte {
				l1 := binary.BigEndian.Uint64(b[40:])
				l2 := binary.BigEndian.Uint64(b[l1:]) & entryOffset
				for at := l2 + 8; at < l2+1<<16; at += 8 {
					copy(b[at:at+8], b[l2:])
				}
				return b
			}, Want: errcode.ExpansionRatio},
		})
	}
}

// firstCompressed returns the host offset of guest cluster 0.
func firstCompressed(b []byte) uint64 {
	l1 := binary.BigEndian.Uint64(b[40:])
	l2 := binary.BigEndian.Uint64(b[l1:]) & entryOffset
	return binary.BigEndian.Uint64(b[l2:]) & (1<<54 - 1)
}

func TestBadExtendedEntriesAreRefused(t *testing.T) {
	formattest.Refused(t, Format{}, goodImage(t, "extended_l2=on"), []formattest.Bad{
		{Name: "stored and zero", Make: l2Entry(1, to(1<<32|1)), Want: errcode.TableBounds},
		{Name: "stored without a cluster", Make: l2Entry(7, to(1)), Want: errcode.TableBounds},
		{Name: "zero bit", Make: l2Entry(0, func(e uint64) uint64 { return e | entryZero }), Want: errcode.TableBounds},
	})
}

func TestDirtyImageIsReadWithAWarning(t *testing.T) {
	good := put64(72, featureDirty)(goodImage(t))
	d := formattest.OpenBytes(Format{}, bytes.NewReader(good), int64(len(good)))(t)
	if f := d.Info().Findings; len(f) != 1 || f[0].Code != errcode.QCOW2Dirty || f[0].Severity != formats.SeverityWarning {
		t.Errorf("findings are %+v, want a warning about the dirty bit", f)
	}
	if n, err := d.ReadAt(make([]byte, 1000), 0); n != 1000 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
}
