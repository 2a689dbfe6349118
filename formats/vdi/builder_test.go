package vdi

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/imgtest"
)

// A recipe says how build lays a disk out. The zero value is what VirtualBox
// writes: dynamic, blocks of 1 MiB, a header of 400 bytes.
type recipe struct {
	imageType  uint32
	headerSize uint32
	block      int64
	extra      int64
	spare      int64 // entries beyond what the virtual size needs
	gap        int64 // bytes between block map and data area
	shuffled   bool  // places are not in guest order
	shortEnd   bool  // the file ends with the guest's last byte
}

// build returns the disk as a VDI: blocks with data are stored, blocks that
// begin in a run of stored zeros and have no data are marked as zeros, and all
// others are holes. The block extra is filled with a byte that the guest must
// not see.
func build(t testing.TB, src *imgtest.Disk, k recipe) []byte {
	t.Helper()
	if k.block == 0 {
		k.block = 1 << 20
	}
	n := binio.DivCeil(src.Size(), k.block)
	bmapOff := int64(headBytes)
	data := (bmapOff+(n+k.spare)*entryBytes+511)/512*512 + k.gap
	entries, stored := layOut(t, src, k, n)
	b := make([]byte, data+stored*(k.block+k.extra))
	putHeader(b, k, src.Size(), data, n+k.spare, stored)
	for i, e := range entries {
		binary.LittleEndian.PutUint32(b[bmapOff+int64(i)*entryBytes:], e)
		if e >= entryZero {
			continue
		}
		at := data + int64(e)*(k.block+k.extra)
		for j := range b[at : at+k.extra] {
			b[at+int64(j)] = 0xEE
		}
		length := min(k.block, src.Size()-int64(i)*k.block)
		imgtest.ReadFull(t, src, b[at+k.extra:at+k.extra+length], int64(i)*k.block)
		if k.shortEnd && int64(i) == n-1 {
			b = b[:at+k.extra+length]
		}
	}
	return b
}

// layOut returns the block map and how many blocks are stored.
func layOut(t testing.TB, src *imgtest.Disk, k recipe, n int64) (entries []uint32, stored int64) {
	t.Helper()
	var blocks []int64
	for i := range n + k.spare {
		entries = append(entries, entryHole)
		if i >= n {
			continue
		}
		off := i * k.block
		if start, end, err := src.NextData(off); err != nil {
			t.Fatal(err)
		} else if start < min(off+k.block, src.Size()) && start < end {
			blocks = append(blocks, i)
		} else if e, err := src.ExtentAt(off); err != nil {
			t.Fatal(err)
		} else if e.State == formats.Zero {
			entries[i] = entryZero
		}
	}
	if k.shuffled {
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	}
	for at, i := range blocks {
		entries[i] = uint32(at)
	}
	return entries, int64(len(blocks))
}

// putHeader writes pre-header and header.
func putHeader(b []byte, k recipe, size, data, blocks, stored int64) {
	if k.imageType == 0 {
		k.imageType = typeDynamic
	}
	if k.headerSize == 0 {
		k.headerSize = 0x190
	}
	le := binary.LittleEndian
	copy(b, "<<< Oracle VM VirtualBox Disk Image >>>\n")
	le.PutUint32(b[64:], signature)
	le.PutUint32(b[68:], version11)
	le.PutUint32(b[72:], k.headerSize)
	le.PutUint32(b[76:], k.imageType)
	le.PutUint32(b[340:], headBytes)
	le.PutUint32(b[344:], uint32(data))
	le.PutUint32(b[360:], sectorBytes)
	le.PutUint64(b[368:], uint64(size))
	le.PutUint32(b[376:], uint32(k.block))
	le.PutUint32(b[380:], uint32(k.extra))
	le.PutUint32(b[384:], uint32(blocks))
	le.PutUint32(b[388:], uint32(stored))
	copy(b[392:], "the image's UUID") // 16 bytes
	copy(b[408:], "of the last snap")
}
