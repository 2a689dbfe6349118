package vmdk

import (
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/imgtest"
	"ingest/internal/otherreaders"
)

// TestOtherReaders has programs beside qemu-img read what is written.
func TestOtherReaders(t *testing.T) {
	for _, disk := range []*imgtest.Disk{
		imgtest.New(3<<20, 1),
		imgtest.Random(2, 75<<20+512, 12<<20),
		imgtest.New(40<<20+3*512, 3, imgtest.Run{Off: 30 << 20, Len: 10<<20 + 3*512, Kind: imgtest.Noise}),
	} {
		for sub, path := range writtenBoth(t, disk) {
			f := imgtest.OpenFile(t, path)
			info := formattest.OpenBytes(Format{}, f, f.Size())(t).Info()
			if by := otherreaders.Check(t, path, info, disk); len(by) < 2 {
				t.Errorf("%s of %d bytes was read by %v only", sub, disk.Size(), by)
			}
		}
	}
}
