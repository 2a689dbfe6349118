package guest

import (
	"fmt"
	"slices"
	"strings"

	"ingest/guest/partition"
	"ingest/guest/tree"
)

// A System is the operating system on a disk, as far as it is known.
type System struct {
	Type         string   `json:"type,omitempty"`    // "linux", "windows"
	Distro       string   `json:"distro,omitempty"`  // as os-release has it, in Glance's words
	Version      string   `json:"version,omitempty"` // as os-release has it
	Name         string   `json:"name,omitempty"`    // for people
	Architecture string   `json:"architecture,omitempty"`
	Kernels      []string `json:"kernels,omitempty"`
	CloudInit    bool     `json:"cloud_init"`
	Virtio       []string `json:"virtio,omitempty"` // drivers: "blk", "net", "scsi"
}

// system puts together what the listings say.
func (f *Facts) system() System {
	var s System
	var windows bool
	for _, v := range f.Volumes {
		l := v.Listing
		if l == nil {
			continue
		}
		if s.Name == "" && l.OS.ID != "" {
			s.Type, s.Distro, s.Version = "linux", distro(l.OS.ID), l.OS.VersionID
			if s.Name = l.OS.PrettyName; s.Name == "" {
				s.Name = strings.TrimSpace(l.OS.ID + " " + l.OS.VersionID)
			}
			if strings.HasSuffix(strings.ToLower(l.OS.ID), "bsd") {
				s.Type = strings.ToLower(l.OS.ID)
			}
		}
		windows = windows || len(l.Windows) > 0
		s.Kernels = append(s.Kernels, l.Kernels...)
		s.CloudInit = s.CloudInit || l.CloudInit
		for _, d := range l.Virtio {
			if !slices.Contains(s.Virtio, d) {
				s.Virtio = append(s.Virtio, d)
			}
		}
	}
	switch {
	case s.Type == "" && windows && len(s.Kernels) == 0:
		s.Type, s.Distro, s.Name = "windows", "windows", "Windows"
	case s.Type == "" && len(s.Kernels) > 0 && !windows:
		s.Type = "linux"
	}
	s.Architecture = f.architecture()
	return s
}

// architecture is that of the system's programs; else that for which firmware or the
// partition types are made. Several are none.
func (f *Facts) architecture() string {
	var programs, firmware, types []string
	add := func(to *[]string, arch string) {
		if arch != "" && !slices.Contains(*to, arch) {
			*to = append(*to, arch)
		}
	}
	for _, v := range f.Volumes {
		if v.Listing == nil {
			continue
		}
		add(&programs, v.Listing.Machine)
		for _, name := range v.Listing.EFIBoot {
			add(&firmware, efiMachine(name))
		}
	}
	for _, p := range f.Table.Partitions {
		add(&types, rootMachine(p))
	}
	// A disk with a 32-bit loader beside the 64-bit one boots on odd firmware too.
	if slices.Contains(firmware, "x86_64") {
		firmware = slices.DeleteFunc(firmware, func(s string) bool { return s == "i686" })
	}
	for _, list := range [][]string{programs, firmware, types} {
		if len(list) > 0 {
			if len(list) == 1 {
				return list[0]
			}
			f.note(fmt.Sprintf("there are programs for several architectures: %s", strings.Join(list, ", ")), 1)
			return ""
		}
	}
	return ""
}

// efiMachine returns the architecture of a removable media boot file (UEFI 2.10,
// section 3.5.1.1).
func efiMachine(name string) string {
	switch strings.ToUpper(name) {
	case "BOOTX64.EFI":
		return "x86_64"
	case "BOOTIA32.EFI":
		return "i686"
	case "BOOTAA64.EFI":
		return "aarch64"
	case "BOOTARM.EFI":
		return "armv7l"
	case "BOOTRISCV64.EFI":
		return "riscv64"
	}
	return ""
}

// rootMachine returns the architecture that a root partition's type names.
func rootMachine(p partition.Partition) string {
	switch p.TypeName {
	case "Linux root (x86-64)", "Linux /usr (x86-64)":
		return "x86_64"
	case "Linux root (x86)":
		return "i686"
	case "Linux root (ARM64)":
		return "aarch64"
	case "Linux root (ARM)":
		return "armv7l"
	case "Linux root (RISC-V 64)":
		return "riscv64"
	}
	return ""
}

// distro turns the ID of os-release into Glance's value of os_distro, which mostly is
// the same.
func distro(id string) string {
	id = strings.ToLower(id)
	switch {
	case strings.HasPrefix(id, "opensuse"):
		return "opensuse"
	case id == "archarm":
		return "arch"
	case id == "sles_sap", id == "sle_hpc":
		return "sles"
	}
	return id
}

// properties returns Glance's properties, of what is certain only.
func (f *Facts) properties() map[string]string {
	out := map[string]string{}
	set := func(name, value string) {
		if value = tree.Text(value); value != "" {
			out[name] = value
		}
	}
	set("os_type", f.System.Type)
	set("os_distro", f.System.Distro)
	set("os_version", f.System.Version)
	set("architecture", f.System.Architecture)
	if f.Boot.Certain && (f.Boot.Mode == BIOS || f.Boot.Mode == UEFI) {
		set("hw_firmware_type", string(f.Boot.Mode))
	}
	// QEMU's machines: there is one for ARM servers, and of those for x86 the firmware
	// of some systems knows only q35. What boots from a BIOS may want either.
	switch {
	case f.System.Architecture == "aarch64":
		set("hw_machine_type", "virt")
	case f.System.Architecture == "x86_64" && out["hw_firmware_type"] == string(UEFI):
		set("hw_machine_type", "q35")
	}
	return out
}
