package filesystem

import (
	"bytes"

	"ingest/internal/binio"
)

// BootCode names the program in a boot sector: "" if there is none that a BIOS would
// run, "boot code" if it is not known. The sector has 512 bytes.
func BootCode(sector []byte) string {
	if sector[510] != 0x55 || sector[511] != 0xaa || binio.IsZero(sector[:440]) {
		return ""
	}
	// exFAT has its code behind 120 bytes of parameters; its makers fill the place with
	// one byte if there is none.
	if string(sector[3:11]) == "EXFAT   " && bytes.Count(sector[120:510], sector[120:121]) == 510-120 {
		return ""
	}
	for _, known := range [...]struct{ mark, name string }{
		{"not a bootable disk", ""},       // mkfs.fat
		{"This disc is not bootable", ""}, // other makers of FAT
		{"This is not a bootable", ""},
		{"GRUB", "GRUB"},
		{"isolinux.bin", "ISOLINUX"},
		{"ISOLINUX", "ISOLINUX"},
		{"SYSLINUX", "SYSLINUX"},
		{"extlinux", "EXTLINUX"},
		{"BOOTMGR", "Windows boot manager"},
		{"NTLDR", "Windows NT loader"},
		{"LILO", "LILO"},
		{"Missing operating system", "MBR that starts the active partition"},
		{"Missing operating syste", "MBR that starts the active partition"},
		{"Error loading operating system", "MBR that starts the active partition"},
		{"No active partition", "MBR that starts the active partition"},
	} {
		if bytes.Contains(sector, []byte(known.mark)) {
			return known.name
		}
	}
	// Programs begin with a jump, or by setting up segments and the stack.
	switch sector[0] {
	case 0xeb, 0xe9, 0xfa, 0xfc, 0x31, 0x33, 0x0e, 0xb8, 0x8c, 0xea, 0x90, 0xbe, 0xbc, 0x45:
		return "boot code"
	}
	return ""
}
