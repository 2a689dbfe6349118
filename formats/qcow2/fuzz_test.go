package qcow2

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/imgtest"
)

// FuzzOpen opens mutations of small images of every kind that this package
// writes, and of one with extended L2 entries.
func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	disk := imgtest.New(200<<10, 3, imgtest.Run{Off: 0, Len: 5000, Kind: imgtest.Text},
		imgtest.Run{Off: 100 << 10, Len: 3000, Kind: imgtest.Noise})
	for _, bits := range []int{9, 12} {
		for _, comp := range compressions {
			f.Add(encode(f, Encoder{ClusterBits: bits, Compression: comp}, disk, nil).buf)
		}
		f.Add(stream(f, plan(f, bits, disk)))
	}
	f.Add(extendedSeed())
	f.Fuzz(func(t *testing.T, data []byte) { formattest.Fuzz(t, Format{}, data) })
}

// extendedSeed returns an image with clusters of 16 KiB and extended L2
// entries: one cluster with subclusters of all states.
func extendedSeed() []byte {
	const cs = 1 << minExtendedBits
	h := header{clusterBits: minExtendedBits, size: 1 << 20, incompatible: featureExtendedL2,
		l1Entries: 1, l1Off: cs, refTableOff: 2 * cs, refTableLen: 1}
	b := make([]byte, 5*cs)
	copy(b, h.marshal())
	binary.BigEndian.PutUint64(b[cs:], entryCopied|3*cs)
	binary.BigEndian.PutUint64(b[3*cs:], entryCopied|4*cs)
	binary.BigEndian.PutUint64(b[3*cs+8:], 0x0000F0F0_000F0F0F)
	copy(b[4*cs:], bytes.Repeat([]byte("sub"), cs/3))
	return b
}

// FuzzEncodeRoundTrip writes disks of arbitrary content and options, whole and
// resumed, and as a plan, and reads them back.
func FuzzEncodeRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint32(5<<20+512), uint32(1<<20), uint8(16), uint8(0), uint8(1))
	f.Add(uint64(2), uint32(3<<20+1), uint32(2<<20), uint8(9), uint8(1), uint8(0))
	f.Add(uint64(3), uint32(7<<20), uint32(3<<20), uint8(21), uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, size, budget uint32, bits, comp, resumeAt uint8) {
		disk := imgtest.Random(seed, 1+int64(size%(24<<20)), int64(budget%(4<<20)))
		e := Encoder{ClusterBits: minClusterBits + int(bits)%(maxClusterBits-minClusterBits+1),
			Compression: compressions[int(comp)%len(compressions)], Engine: transfer.Engine{Workers: 2}}
		full := encode(t, e, disk, func() bool { return true })
		reads(t, full.buf, disk)
		if n := len(full.taken); n > 0 {
			resume(t, e, disk, full, full.taken[int(resumeAt)%n])
		}
		reads(t, stream(t, plan(t, e.ClusterBits, disk)), disk)
	})
}

// reads fails the test unless the image is sound and shows the disk.
func reads(t *testing.T, image []byte, disk *imgtest.Disk) {
	t.Helper()
	d := formattest.OpenBytes(Format{}, bytes.NewReader(image), int64(len(image)))(t)
	imgtest.Equal(t, d, disk, disk.Size())
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Fatalf("validate: %v", err)
	}
}
