package ova

import (
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/vmdk"
	"ingest/internal/boottest"
	"ingest/internal/imgtest"
	"ingest/internal/otherreaders"
)

// TestBootsAndIsReadByOthers boots a PC from the second disk, as tar extracts it,
// and has 7-Zip and libyal read it.
func TestBootsAndIsReadByOthers(t *testing.T) {
	disk := boottest.New(70<<20+3*512, 7)
	dir := t.TempDir()
	path := written(t, Options{Name: "pc", Firmware: FirmwareBIOS}, imgtest.New(1<<20, 1), disk)
	tool(t, dir, "tar", "-xf", path)
	image := filepath.Join(dir, "pc-disk2.vmdk")
	boottest.Boot(t, image, "vmdk")
	file := imgtest.OpenFile(t, image)
	d, err := vmdk.Format{}.Open(file, file.Size(), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if names := otherreaders.Check(t, image, d.Info(), disk); len(names) != 2 {
		t.Errorf("%v have read it", names)
	}
}
