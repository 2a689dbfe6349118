package vmdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zlib"

	"ingest/internal/binio"
	"ingest/internal/imgtest"
)

// A dialect is a way to write streamOptimized.
type dialect struct {
	footer    bool // GD_AT_END and a footer, else the header is rewritten
	shortLast bool // the last grain ends with the disk
	version   uint32
}

// stream writes the disk as a streamOptimized VMDK as the technical note has
// it: grains, each grain table behind its grains, the grain directory last.
func stream(t testing.TB, src *imgtest.Disk, how dialect) []byte {
	t.Helper()
	const grain = 64 << 10
	le := binary.LittleEndian
	var out bytes.Buffer
	pad := func() { out.Write(make([]byte, -out.Len()&511)) }
	marker := func(sectors uint64, kind uint32) {
		p := make([]byte, sectorBytes)
		le.PutUint64(p, sectors)
		le.PutUint32(p[12:], kind)
		out.Write(p)
	}
	header := streamHeader(src.Size(), how.version)
	text := fmt.Sprintf("# Disk DescriptorFile\r\nversion=1\r\nCID=7e5b80a7\r\nparentCID=ffffffff\r\ncreateType=\"streamOptimized\"\r\n"+
		"RDONLY %d SPARSE \"generated-stream.vmdk\"\r\n#DDB\r\nddb.adapterType = \"lsilogic\"\r\n", src.Size()/sectorBytes)
	out.Write(header)
	out.WriteString(text)
	out.Write(make([]byte, 128*sectorBytes-out.Len()))

	grains := binio.DivCeil(src.Size(), grain)
	directory := make([]byte, binio.DivCeil(grains, 512)*4)
	for i := range int64(len(directory) / 4) {
		table, any := make([]byte, 512*4), false
		for j := int64(0); j < 512 && i*512+j < grains; j++ {
			p := make([]byte, grain)
			off := (i*512 + j) * grain
			n, _ := src.ReadAt(p, off)
			if binio.IsZero(p) {
				continue
			}
			if how.shortLast {
				p = p[:n]
			}
			any = true
			le.PutUint32(table[j*4:], uint32(out.Len()/sectorBytes))
			writeGrain(t, &out, off, p)
			pad()
		}
		if any {
			marker(4, markerGT)
			le.PutUint32(directory[i*4:], uint32(out.Len()/sectorBytes))
			out.Write(table)
		}
	}
	marker(uint64(binio.DivCeil(int64(len(directory)), sectorBytes)), markerGD)
	gd := uint64(out.Len() / sectorBytes)
	out.Write(directory)
	pad()
	rewritten := bytes.Clone(header)
	le.PutUint64(rewritten[56:], gd)
	if how.footer {
		marker(1, markerFooter)
		out.Write(rewritten)
	}
	marker(0, markerEOS)
	if !how.footer {
		copy(out.Bytes(), rewritten)
	}
	return out.Bytes()
}

func streamHeader(size int64, version uint32) []byte {
	le := binary.LittleEndian
	p := make([]byte, sectorBytes)
	copy(p, magicSparse)
	le.PutUint32(p[4:], version)
	le.PutUint32(p[8:], flagNewlines|flagCompressed|flagMarkers)
	le.PutUint64(p[12:], uint64(size/sectorBytes))
	le.PutUint64(p[20:], 128)
	le.PutUint64(p[28:], 1)
	le.PutUint64(p[36:], 1)
	le.PutUint32(p[44:], 512)
	le.PutUint64(p[56:], gdAtEnd)
	le.PutUint64(p[64:], 128)
	copy(p[73:], "\n \r\n")
	le.PutUint16(p[77:], algorithmDeflate)
	return p
}

func writeGrain(t testing.TB, out *bytes.Buffer, off int64, p []byte) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var head [grainHeaderBytes]byte
	binary.LittleEndian.PutUint64(head[:], uint64(off/sectorBytes))
	binary.LittleEndian.PutUint32(head[8:], uint32(z.Len()))
	out.Write(head[:])
	out.Write(z.Bytes())
}
