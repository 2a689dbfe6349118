package unwrap

import (
	"bytes"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/gce"
	"ingest/formats/ova"
	"ingest/formats/transfer"
	"ingest/formats/vmdk"
	"ingest/internal/imgtest"
)

// readAll returns all bytes of a disk.
func readAll(t testing.TB, d formats.Disk) []byte {
	t.Helper()
	p, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIngestWritesAsOVA(t *testing.T) {
	disks := []formats.Disk{imgtest.Random(1, 5<<20, 3<<20), imgtest.Random(2, 2<<20, 1<<20), imgtest.Random(3, 1<<20, 1<<20)}
	for _, firmware := range []string{ova.FirmwareBIOS, ova.FirmwareEFI} {
		for _, controller := range []string{ova.ControllerLSILogic, ova.ControllerAHCI} {
			e := ova.Encoder{
				Options: ova.Options{Name: "machine-1", Firmware: firmware, Controller: controller, OSType: "debian64"},
				Disk:    func(e transfer.Engine) formats.Encoder { return vmdk.Stream{CompressionLevel: 1, Engine: e} },
				More:    disks[1:],
			}
			rec, sum := formattest.Record(t, e, disks[0], nil)
			file := bytes.NewReader(rec.Bytes)
			a, err := OpenArchive(file, sum.FileSize, DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := a.OVA.Verify(t.Context()); n != 4 || err != nil {
				t.Errorf("%d files are verified, %v", n, err)
			}
			want := map[string]string{
				"hw_firmware_type": map[string]string{"bios": "bios", "efi": "uefi"}[firmware],
				"hw_disk_bus":      map[string]string{"lsilogic": "scsi", "ahci": "sata"}[controller],
				"hw_vif_model":     "e1000", "os_type": "linux",
			}
			if controller == ova.ControllerLSILogic {
				want["hw_scsi_model"] = "lsilogic"
			}
			if len(a.Properties) != len(want) || a.OVA.Name != "machine-1" || a.Container != ContainerOVA || len(a.Disks) != len(disks) {
				t.Fatalf("%s %v with %d disks", a.OVA.Name, a.Properties, len(a.Disks))
			}
			for k, v := range want {
				if a.Properties[k] != v {
					t.Errorf("%s is %q, want %q", k, a.Properties[k], v)
				}
			}
			for i, d := range a.Disks {
				s, ok := d.Section()
				if !ok || d.Boot != (i == 0) || d.Capacity != disks[i].Size() {
					t.Fatalf("disk %d: %+v", i, d)
				}
				got, err := vmdk.Format{}.Open(s, s.Size(), formats.DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(readAll(t, got), readAll(t, disks[i])) || a.OVA.Disks[i].CheckCapacity(got.Size()) != nil {
					t.Errorf("disk %d has other bytes", i)
				}
			}
		}
	}
}

func TestWhatIngestWritesForComputeEngine(t *testing.T) {
	disk := imgtest.Random(4, 3<<20, 2<<20)
	rec, sum := formattest.Record(t, gce.Encoder{Align: 1 << 20}, disk, nil)
	file := bytes.NewReader(rec.Bytes)
	z, err := Open(io.NewSectionReader(file, 0, sum.FileSize), Gzip, DefaultLimits())
	if err != nil || !IsGCE(z.Head()) {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Error(err)
	}
	d, err := OpenGCE(file, sum.FileSize, formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !bytes.Equal(readAll(t, d), readAll(t, disk)) {
		t.Error("other bytes came out")
	}
}
