package partition

// GPT partition types that decide something elsewhere.
const (
	TypeESP       = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" // UEFI 2.10, section 5.3.3
	TypeBIOSBoot  = "21686148-6449-6e6f-744e-656564454649" // GRUB
	TypeMicrosoft = "e3c9e316-0b5c-4db8-817d-f92df00215ae" // reserved
)

// gptTypeName returns what a type GUID means, "" if it is not known. The types of
// root file systems are those of the Discoverable Partitions Specification.
func gptTypeName(guid string) string {
	switch guid {
	case TypeESP:
		return "EFI system"
	case TypeBIOSBoot:
		return "BIOS boot"
	case TypeMicrosoft:
		return "Microsoft reserved"
	case "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7":
		return "Microsoft basic data"
	case "de94bba4-06d1-4d40-a16a-bfd50179d6ac":
		return "Windows recovery"
	case "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3":
		return "LDM metadata"
	case "af9b60a0-1431-4f62-bc68-3311714a69ad":
		return "LDM data"
	case "0fc63daf-8483-4772-8e79-3d69d8477de4":
		return "Linux file system"
	case "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f":
		return "Linux swap"
	case "e6d6d379-f507-44c2-a23c-238f2a3df928":
		return "Linux LVM"
	case "a19d880f-05fc-4d3b-a006-743f0f84911e":
		return "Linux RAID"
	case "ca7d7ccb-63ed-4c53-861c-1742536059cc":
		return "Linux LUKS"
	case "bc13c2ff-59e6-4262-a352-b275fd6f7172":
		return "Linux extended boot"
	case "933ac7e1-2eb4-4f13-b844-0e14e2aef915":
		return "Linux home"
	case "3b8f8425-20e0-4f3b-907f-1a25a76f98e8":
		return "Linux server data"
	case "4d21b016-b534-45c2-a9fb-5c16e091fd2d":
		return "Linux variable data"
	case "4f68bce3-e8cd-4db1-96e7-fbcaf984b709":
		return "Linux root (x86-64)"
	case "44479540-f297-41b2-9af7-d131d5f0458a":
		return "Linux root (x86)"
	case "b921b045-1df0-41c3-af44-4c6f280d3fae":
		return "Linux root (ARM64)"
	case "69dad710-2ce4-4e3c-b16c-21a1d49abed3":
		return "Linux root (ARM)"
	case "72ec70a6-cf74-40e6-bd49-4bda08e8f224":
		return "Linux root (RISC-V 64)"
	case "8484680c-9521-48c6-9c11-b0720656f69e":
		return "Linux /usr (x86-64)"
	case "9e1a2d38-c612-4316-aa26-8b49521e5a8b":
		return "PowerPC PReP boot"
	case "024dee41-33e7-11d3-9d69-0008c781f39f":
		return "MBR partition scheme"
	}
	return otherTypeName(guid)
}

// otherTypeName is gptTypeName for other systems than Windows and Linux.
func otherTypeName(guid string) string {
	switch guid {
	case "83bd6b9d-7f41-11dc-be0b-001560b84f0f":
		return "FreeBSD boot"
	case "516e7cb4-6ecf-11d6-8ff8-00022d09712b":
		return "FreeBSD data"
	case "516e7cb5-6ecf-11d6-8ff8-00022d09712b":
		return "FreeBSD swap"
	case "516e7cb6-6ecf-11d6-8ff8-00022d09712b":
		return "FreeBSD UFS"
	case "516e7cba-6ecf-11d6-8ff8-00022d09712b":
		return "FreeBSD ZFS"
	case "824cc7a0-36a8-11e3-890a-952519ad3f61":
		return "OpenBSD data"
	case "49f48d5a-b10e-11dc-b99b-0019d1879648":
		return "NetBSD FFS"
	case "6a898cc3-1dd2-11b2-99a6-080020736631":
		return "Solaris /usr, Apple ZFS"
	case "48465300-0000-11aa-aa11-00306543ecac":
		return "Apple HFS+"
	case "7c3457ef-0000-11aa-aa11-00306543ecac":
		return "Apple APFS"
	case "aa31e02a-400f-11db-9590-000c2911d1b8":
		return "VMware VMFS"
	case "9d275380-40ad-11db-bf97-000c2911d1b8":
		return "VMware diagnostic"
	case "fe3a2a5d-4f32-41a7-b725-accc3285a309":
		return "ChromeOS kernel"
	}
	return ""
}

// mbrTypeName returns what a type byte is used for, "" if it is not known.
func mbrTypeName(kind byte) string {
	switch kind {
	case 0x01:
		return "FAT12"
	case 0x04, 0x06, 0x0e:
		return "FAT16"
	case 0x0b, 0x0c:
		return "FAT32"
	case 0x05, 0x0f, 0x85:
		return "extended"
	case 0x07:
		return "NTFS or exFAT"
	case 0x11, 0x14, 0x16, 0x17, 0x1b, 0x1c, 0x1e:
		return "hidden"
	case 0x27:
		return "Windows recovery"
	case 0x41:
		return "PowerPC PReP boot"
	case 0x42:
		return "LDM"
	case 0x82:
		return "Linux swap"
	case 0x83:
		return "Linux"
	case 0x8e:
		return "Linux LVM"
	case 0xa5:
		return "FreeBSD"
	case 0xa6:
		return "OpenBSD"
	case 0xa9:
		return "NetBSD"
	case 0xaf:
		return "Apple HFS+"
	case 0xbf:
		return "Solaris"
	case 0xcd:
		return "ISO 9660"
	case 0xda:
		return "other data"
	case 0xea:
		return "extended boot"
	case 0xee:
		return "protective (GPT)"
	case 0xef:
		return "EFI system"
	case 0xfb:
		return "VMware VMFS"
	case 0xfd:
		return "Linux RAID"
	}
	return ""
}
