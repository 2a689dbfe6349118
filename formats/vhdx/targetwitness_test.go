package vhdx

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/internal/boottest"
	"ingest/internal/imgtest"
	"ingest/internal/otherreaders"
)

// keep writes an image to a file.
func keep(t *testing.T, image []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.vhdx")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBoots starts a PC from images of each kind that QEMU attaches.
func TestBoots(t *testing.T) {
	for _, o := range []Dynamic{{}, {BlockSize: 32 << 20, PhysicalSector: 512}} {
		t.Run(o.Codec(), func(t *testing.T) {
			boottest.Boot(t, keep(t, planned(t, o, boottest.New(70<<20+3*512, 7))), "vhdx")
		})
	}
}

// TestOtherReaders has 7-Zip and libyal read images of an even number of logical
// sectors: 7-Zip takes an odd one for a sector that is cut, and here all are to
// read them all.
func TestOtherReaders(t *testing.T) {
	disk := imgtest.Random(90, 37<<20+8192, 9<<20)
	for _, o := range []Dynamic{{}, {LogicalSector: 4096}, {BlockSize: 256 << 20}, {BlockSize: 8 << 20, PhysicalSector: 512, UUID: formats.ID{3: 9}}} {
		t.Run(o.Codec(), func(t *testing.T) {
			image := planned(t, o, disk)
			d, err := Format{}.Open(bytes.NewReader(image), int64(len(image)), formats.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			names := otherreaders.Check(t, keep(t, image), d.Info(), disk)
			for _, r := range otherreaders.All() {
				if !slices.Contains(names, r.Name) {
					t.Errorf("%s has not read it", r.Name)
				}
			}
		})
	}
}

// TestQemuReadsTheSecondChunk has qemu-img read the first blocks behind the first
// entry of a sector bitmap, and those before it.
func TestQemuReadsTheSecondChunk(t *testing.T) {
	const mib, border = 1 << 20, 4 << 30
	disk := imgtest.New(border+2*mib, 97, imgtest.Run{Off: 9, Len: 9, Kind: imgtest.Text}, imgtest.Run{Off: border - mib - 7, Len: 2*mib + 77, Kind: imgtest.Noise})
	image, part := keep(t, planned(t, Dynamic{}, disk)), filepath.Join(t.TempDir(), "part.raw")
	imgtest.QemuImg(t, "dd", "-f", "vhdx", "-O", "raw", "bs=1M", "skip=4094", "if="+image, "of="+part)
	got, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 4*mib)
	imgtest.ReadFull(t, disk, want, border-2*mib)
	if !bytes.Equal(got, want) {
		t.Errorf("qemu-img reads %d other bytes", len(got))
	}
}

// TestMarksAreQemus holds length and flags of each metadata item against a file
// of qemu-img's.
func TestMarksAreQemus(t *testing.T) {
	theirs, err := os.ReadFile(imgtest.Create(t, "vhdx", 9<<20, "block_size=1M"))
	if err != nil {
		t.Fatal(err)
	}
	ours := planned(t, Dynamic{}, imgtest.New(9<<20, 1))
	a, b := marks(ours), marks(theirs)
	if len(a) != 5 {
		t.Errorf("%d items, want 5", len(a))
	}
	for id, m := range a {
		if got, ok := b[id]; !ok || got != m {
			t.Errorf("%s: length and flags %v, qemu-img's %v", id, m, got)
		}
	}
}

// marks returns length and flags of each metadata item.
func marks(file []byte) map[guid][2]uint32 {
	le, out := binary.LittleEndian, map[guid][2]uint32{}
	_, metadata := knownRegions()
	var meta []byte
	for i := range le.Uint32(file[region1Off+8:]) {
		q := file[region1Off+16+32*i:]
		if guid(q[:16]) == metadata {
			meta = file[le.Uint64(q[16:]):]
		}
	}
	for i := range le.Uint16(meta[10:]) {
		q := meta[32+32*int(i):]
		out[guid(q[:16])] = [2]uint32{le.Uint32(q[20:]), le.Uint32(q[24:])}
	}
	return out
}
