package partition_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"ingest/formats/formattest"
	"ingest/guest/partition"
)

func reader(p []byte) io.ReaderAt { return bytes.NewReader(p) }

// broken fails to read behind the first sector.
type broken struct{ p []byte }

var errBroken = errors.New("broken")

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off >= 512 {
		return 0, errBroken
	}
	return reader(b.p).ReadAt(p, off)
}

func TestReadErrorsAreErrors(t *testing.T) {
	disk := gpt(t, 512, mib)
	if _, err := partition.Read(broken{disk}, mib); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// FuzzRead demands that whatever a table says, what is told of it makes sense. The
// fuzzer's bytes replace a piece of a disk that is sound, and its checksums are made
// right again: they would keep the fuzzer out.
func FuzzRead(f *testing.F) {
	formattest.Seeds(f)
	gpt512, gpt4096 := gpt(f, 512, 128<<10, [2]uint64{40, 50}, [2]uint64{60, 70}), gpt(f, 4096, 128<<10, [2]uint64{6, 7})
	logical := chain(128<<10, 3, func(k int) uint32 { return uint32(2*(k+1)) % 6 })
	blank := make([]byte, 128<<10)
	blank[510], blank[511] = 0x55, 0xaa
	f.Add(uint8(0), uint32(1024+32), []byte{41, 0, 0, 0, 0, 0, 0, 0, 20})
	f.Add(uint8(0), uint32(512+72), []byte{2, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255})
	f.Add(uint8(1), uint32(4096+32), []byte{1})
	f.Add(uint8(2), uint32(64*512+446+16+8), []byte{2})
	f.Add(uint8(3), uint32(446), []byte("\x80\x00\x00\x00\x83\x00\x00\x00\x08\x00\x00\x00\x10\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, base uint8, off uint32, patch []byte) {
		disk := bytes.Clone([][]byte{gpt512, gpt4096, logical, blank}[base%4])
		copy(disk[int(off)%len(disk):], patch)
		if sector := [...]int64{512, 4096, 0, 0}[base%4]; sector > 0 {
			h := disk[sector:]
			table, n := binary.LittleEndian.Uint64(h[72:]), binary.LittleEndian.Uint32(h[80:])
			if size := binary.LittleEndian.Uint32(h[84:]); table < 32 && n <= 256 && size <= 256 {
				at := int64(table) * sector
				binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(disk[at:min(at+int64(n*size), int64(len(disk)))]))
			}
			seal(h)
		}
		got, err := partition.Read(reader(disk), int64(len(disk)))
		if err != nil {
			t.Fatal(err)
		}
		sane(t, got)
		if got, err = partition.ReadMBR(reader(disk), int64(len(disk)), 4096); err != nil {
			t.Fatal(err)
		}
		sane(t, got)
	})
}

// sane demands that a table is within its limits, and that its partitions have bounds
// and numbers of their own.
func sane(t *testing.T, got partition.Table) {
	t.Helper()
	if len(got.Partitions) > partition.MaxEntries || len(got.Findings) > 64 {
		t.Fatalf("%d partitions, %d findings", len(got.Partitions), len(got.Findings))
	}
	seen := map[int]bool{}
	for _, p := range got.Partitions {
		if p.Off < 0 || p.Len <= 0 || p.End() < p.Off || p.Number < 1 || seen[p.Number] {
			t.Fatalf("%+v", p)
		}
		seen[p.Number] = true
	}
}
