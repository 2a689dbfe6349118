package guest

import (
	"fmt"
	"slices"
	"strings"

	"ingest/guest/filesystem"
	"ingest/guest/partition"
)

// A Mode is how a machine can boot from a disk.
type Mode string

// The modes. Unknown also is a disk that nothing boots from.
const (
	Unknown Mode = ""
	BIOS    Mode = "bios"
	UEFI    Mode = "uefi"
	Both    Mode = "both"
)

// Boot says how a machine boots from the disk, and why that is believed.
type Boot struct {
	Mode Mode     `json:"mode"`
	BIOS []string `json:"bios,omitempty"` // reasons
	UEFI []string `json:"uefi,omitempty"` // reasons
	// Certain is true if the mode was seen, and false if it may be both, or none.
	Certain bool `json:"certain"`
}

// boot weighs what there is to boot from. first is the disk's first sector.
func (f *Facts) boot(first []byte) Boot {
	var b Boot
	// seen is UEFI's own evidence; an EFI system partition alone may be empty.
	seen, blind := false, false
	code := filesystem.BootCode(first)
	if code != "" {
		b.BIOS = append(b.BIOS, "first sector: "+code)
	}
	for _, v := range f.Volumes {
		where := v.where()
		if slices.Contains(v.ElTorito, filesystem.PlatformBIOS) {
			b.BIOS = append(b.BIOS, where+": El Torito entry for x86 BIOS")
		}
		if slices.Contains(v.ElTorito, filesystem.PlatformUEFI) {
			b.UEFI, seen = append(b.UEFI, where+": El Torito entry for UEFI"), true
		}
		if v.Listing != nil && len(v.Listing.EFIBoot) > 0 && v.firmwareReads(f) {
			b.UEFI, seen = append(b.UEFI, where+": /EFI/BOOT/"+strings.Join(v.Listing.EFIBoot, ", ")), true
		}
		if f.esp(v) {
			b.UEFI = append(b.UEFI, where+": EFI system partition")
			blind = blind || v.Listing == nil || v.Listing.NotInspected != ""
		}
	}
	b.BIOS = append(b.BIOS, f.active(code)...)
	switch {
	case len(b.BIOS) > 0 && len(b.UEFI) > 0:
		b.Mode, b.Certain = Both, seen
	case len(b.UEFI) > 0:
		b.Mode, b.Certain = UEFI, seen
	case len(b.BIOS) > 0:
		b.Mode, b.Certain = BIOS, !blind
	}
	return b
}

// active tells the partitions that only a BIOS looks for. Without boot code in the first
// sector, nothing starts them.
func (f *Facts) active(code string) []string {
	var out []string
	if code == "" {
		return nil
	}
	for _, p := range f.Table.Partitions {
		if p.Bootable {
			out = append(out, fmt.Sprintf("partition %d: active", p.Number))
		}
		if p.Type == partition.TypeBIOSBoot {
			out = append(out, fmt.Sprintf("partition %d: BIOS boot partition", p.Number))
		}
	}
	return out
}

// esp reports whether a volume is an EFI system partition that firmware can read.
func (f *Facts) esp(v Volume) bool {
	p := f.partition(v)
	return (p.Type == partition.TypeESP || p.Type == "0xef") && v.fat()
}

// firmwareReads reports whether firmware looks for EFI/BOOT in a volume: in FAT, in a
// partition or on a disk without any. Of an ISO it reads the El Torito image instead.
func (v Volume) firmwareReads(f *Facts) bool {
	return v.fat() && (v.Partition > 0 || f.Table.Scheme == partition.None)
}

func (v Volume) fat() bool {
	return v.Kind == filesystem.FAT12 || v.Kind == filesystem.FAT16 || v.Kind == filesystem.FAT32
}

func (v Volume) where() string {
	if v.Partition == 0 {
		return "disk"
	}
	return fmt.Sprintf("partition %d", v.Partition)
}
