package vhd

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// xenBlock is the block size of xen, bytes.
const xenBlock = 4096

// xen writes the disk as XenServer does: a dynamic VHD of creator "tap", whose
// batmap follows the BAT, header and map a sector each, with the blocks behind
// it. Only blocks with data are stored.
func xen(t testing.TB, src *imgtest.Disk) []byte {
	t.Helper()
	be := binary.BigEndian
	n := int(src.Size() / xenBlock)
	at := xenHeader(n)
	b := make([]byte, at+1024)
	table, bits := b[3*sectorBytes:at], b[at+sectorBytes:]
	for i := range len(table) / 4 {
		be.PutUint32(table[4*i:], unallocated)
	}
	for i := range n {
		off := int64(i) * xenBlock
		if start, _, err := src.NextData(off); err != nil || start >= off+xenBlock {
			continue
		}
		be.PutUint32(table[4*i:], uint32(len(b)/sectorBytes))
		bits[i/8] |= 0x80 >> (i % 8)
		block := make([]byte, sectorBytes+xenBlock)
		block[0] = 0xFF // eight sectors
		imgtest.ReadFull(t, src, block[sectorBytes:], off)
		b = append(b, block...)
		table, bits = b[3*sectorBytes:at], b[at+sectorBytes:at+2*sectorBytes]
	}
	copy(b[at:], batmapMagic)
	be.PutUint64(b[at+8:], uint64(at+sectorBytes))
	be.PutUint32(b[at+16:], 1)
	be.PutUint32(b[at+20:], batmapVersion)
	b = append(b, make([]byte, footerBytes)...)
	h := b[footerBytes:]
	copy(h, headerMagic)
	be.PutUint64(h[16:], 3*sectorBytes)
	be.PutUint32(h[24:], fileVersion)
	be.PutUint32(h[28:], uint32(n))
	be.PutUint32(h[32:], xenBlock)
	be.PutUint32(h[36:], checksum(h[:headerBytes], 36))
	for _, f := range [][]byte{b, b[len(b)-footerBytes:]} {
		copy(f, footerMagic)
		be.PutUint32(f[12:], fileVersion)
		be.PutUint64(f[16:], footerBytes)
		copy(f[28:], "tap\x00")
		be.PutUint64(f[48:], uint64(src.Size()))
		be.PutUint32(f[60:], typeDynamic)
		be.PutUint32(f[64:], checksum(f[:footerBytes], 64))
	}
	return sumBatmap(b)
}

// xenHeader returns where the batmap header of xen's disk of n blocks lies.
func xenHeader(n int) int { return 3*sectorBytes + (n*4+sectorBytes-1)/sectorBytes*sectorBytes }

// batmapAt returns where the batmap header lies.
func batmapAt(b []byte) int { return bytes.Index(b, []byte(batmapMagic)) }

// sumBatmap makes the batmap's checksum right, as version 1.2 has it.
func sumBatmap(b []byte) []byte {
	at := batmapAt(b)
	var sum uint32
	for _, v := range b[at+sectorBytes : at+2*sectorBytes] {
		sum += uint32(v)
	}
	binary.BigEndian.PutUint32(b[at+24:], ^sum)
	return b
}

// inBatmap overwrites bytes of the batmap header.
func inBatmap(rel int, p ...byte) mutation {
	return func(b []byte) []byte {
		copy(b[batmapAt(b)+rel:], p)
		return b
	}
}

// xenDisk has 300 blocks, more than one sector of the BAT has entries for, and
// data in its first block, in its last, and in some of the others.
func xenDisk() *imgtest.Disk {
	runs := []imgtest.Run{{Off: 0, Len: 3 * xenBlock, Kind: imgtest.Noise}}
	for i := int64(9); i < 270; i += 13 {
		runs = append(runs, imgtest.Run{Off: i * xenBlock, Len: xenBlock, Kind: imgtest.Text})
	}
	return imgtest.New(300*xenBlock, 1, append(runs, imgtest.Run{Off: 300*xenBlock - 512, Len: 512, Kind: imgtest.Noise})...)
}

func TestReadsDisksWithABatmap(t *testing.T) {
	src := xenDisk()
	for name, change := range map[string]mutation{
		"whole": same,
		"empty batmap": func(b []byte) []byte {
			at := batmapAt(b)
			clear(b[at+sectorBytes : at+2*sectorBytes])
			return sumBatmap(b)
		},
		"wrong batmap":  func(b []byte) []byte { b[batmapAt(b)+sectorBytes] ^= 0xFF; return sumBatmap(b) },
		"wrong sum":     inBatmap(24, 0, 0, 0, 0),
		"zeroed header": inBatmap(0, make([]byte, 28)...),
	} {
		t.Run(name, func(t *testing.T) {
			b := change(xen(t, src))
			formattest.Reader(t, formattest.Spec{
				Open: formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b))),
				File: bytes.NewReader(b), Want: src,
			})
		})
	}
}

func TestBatmapIsKeptApartFromBlocks(t *testing.T) {
	good := xen(t, xenDisk())
	at := uint32(batmapAt(good) / sectorBytes)
	const length = 1 + xenBlock/sectorBytes
	formattest.Refused(t, Format{}, good, []formattest.Bad{
		{Name: "block on the header", Make: bat(1, sector(at)), Want: errcode.AliasedBlocks},
		{Name: "block on the map", Make: bat(1, sector(at+1)), Want: errcode.AliasedBlocks},
		{Name: "block on a map that lies behind the blocks", Make: func(b []byte) []byte {
			return inBatmap(8, be64(uint64(entryOf(b, 2)+1)*sectorBytes)...)(b)
		}, Want: errcode.AliasedBlocks},
		{Name: "block on the header of a broken batmap", Make: func(b []byte) []byte {
			return bat(1, sector(at))(inBatmap(8, be64(1<<62)...)(b))
		}, Want: errcode.AliasedBlocks},
	})
	// The blocks begin right behind the map, and one may end where it begins.
	if e := entryOf(good, 0); e != at+2 {
		t.Errorf("the first block is at sector %d, the map at %d", e, at+1)
	}
	d, err := Format{}.Open(bytes.NewReader(good), int64(len(good)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	own := []formats.Range{{Off: int64(length) * sectorBytes, End: int64(length+1) * sectorBytes}}
	for hostOff, want := range map[int64]errcode.Code{0: "", sectorBytes: errcode.AliasedBlocks,
		int64(length) * sectorBytes: errcode.AliasedBlocks, int64(length+1) * sectorBytes: ""} {
		if err := d.(*dynamic).apartFrom(own, 0, hostOff); errcode.Of(err) != want {
			t.Errorf("block at %d: %v, want %q", hostOff, err, want)
		}
	}
}

func TestBatmapFindings(t *testing.T) {
	good := xen(t, xenDisk())
	signed := func(b []byte) []byte {
		at := batmapAt(b)
		var sum uint32
		for _, v := range b[at+sectorBytes : at+2*sectorBytes] {
			sum += uint32(int8(v))
		}
		return inBatmap(24, be32(^sum)...)(inBatmap(20, be32(batmapSignedVersion)...)(b))
	}
	for _, c := range []struct {
		name string
		make mutation
		want errcode.Code
	}{
		{"good", same, ""},
		{"version 1.1 sums signed bytes", signed, ""},
		{"version 1.1 with the sum of 1.2", inBatmap(20, be32(batmapSignedVersion)...), errcode.VHDChecksum},
		{"version 1.3", inBatmap(20, be32(batmapVersion+1)...), errcode.VHDHeader},
		{"checksum", inBatmap(24, 1, 2, 3, 4), errcode.VHDChecksum},
		{"a bit of the map", func(b []byte) []byte { b[batmapAt(b)+sectorBytes+5] ^= 1; return b }, errcode.VHDChecksum},
		{"past the end", inBatmap(8, be64(uint64(len(good)-511))...), errcode.Truncated},
		{"offset all ones", inBatmap(8, be64(1<<64-1)...), errcode.Truncated},
		{"size all ones", inBatmap(16, be32(1<<32-1)...), errcode.Truncated},
		{"size 0", inBatmap(16, be32(0)...), errcode.VHDSizeMismatch},
		{"on the BAT", inBatmap(8, be64(3*sectorBytes)...), errcode.TableBounds},
		{"on its own header", func(b []byte) []byte { return inBatmap(8, be64(uint64(batmapAt(b)))...)(b) }, errcode.TableBounds},
		{"on the last footer", inBatmap(8, be64(uint64(len(good)-512))...), errcode.TableBounds},
		{"of another creator", func(b []byte) []byte { return foot(28, []byte("qem2")...)(inBatmap(24, 1)(b)) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.make(bytes.Clone(good))
			d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			findings, err := d.(formats.Validator).Validate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := errcode.Code("")
			for _, f := range findings {
				if f.Evidence != nil && f.Evidence.Structure == "batmap header" {
					got = f.Code
				}
			}
			if got != c.want {
				t.Errorf("finding %q, want %q: %+v", got, c.want, findings)
			}
			imgtest.EqualDisk(t, d, xenDisk())
		})
	}
}
