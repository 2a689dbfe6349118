package ova

import (
	"fmt"
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// Values of Options.Firmware.
const (
	FirmwareBIOS = "bios"
	FirmwareEFI  = "efi"
)

// Values of Options.Controller.
const (
	ControllerLSILogic = "lsilogic" // SCSI
	ControllerAHCI     = "ahci"     // SATA
)

// Defaults and bounds of Options.
const (
	DefaultName            = "machine"
	DefaultCPUs            = 2
	MaxCPUs                = 128
	DefaultMemoryMiB       = 2048
	MinMemoryMiB           = 4
	MaxMemoryMiB           = 6 << 20 // vSphere's most, 6 TiB
	DefaultHardwareVersion = 13      // ESXi 6.5, Workstation 14
	MinHardwareVersion     = 7       // ESX 4
	MaxHardwareVersion     = 22
	minEFIHardware         = 8 // ESXi 5.0
	minAHCIHardware        = 10
	maxNameBytes           = 80
)

// MaxDisks is how many disks one SCSI controller takes.
const MaxDisks = 15

// An osType is what is installed, in the words of CIM and of VMware.
type osType struct {
	name        string
	cim         int    // CIM_OperatingSystem.OsType
	vmware      string // vim.vm.GuestOsDescriptor.GuestOsIdentifier
	description string
}

// osTypes are the values of Options.OSType, the default first. CIM's numbers are
// those that VirtualBox maps to its own types (src/VBox/Main/include/ovfreader.h);
// VMware goes by its identifier, and each is one that vSphere 6.0 knows.
func osTypes() []osType {
	return []osType{
		{"other64", 102, "otherGuest64", "Other 64-Bit"},
		{"other", 1, "otherGuest", "Other"},
		{"linux64", 101, "otherLinux64Guest", "Linux 64-Bit"},
		{"linux", 36, "otherLinuxGuest", "LINUX"},
		{"debian64", 96, "debian8_64Guest", "Debian 64-Bit"},
		{"ubuntu64", 94, "ubuntu64Guest", "Ubuntu 64-Bit"},
		{"rhel64", 80, "rhel7_64Guest", "RedHat Enterprise Linux 64-Bit"},
		{"centos64", 107, "centos64Guest", "CentOS 64-bit"},
		{"sles64", 85, "sles12_64Guest", "SLES 64-Bit"},
		{"freebsd64", 78, "freebsd64Guest", "FreeBSD 64-Bit"},
		{"windows10-64", 120, "windows9_64Guest", "Windows 10 64-Bit"},
		{"windows2016", 118, "windows9Server64Guest", "Windows Server 2016"},
	}
}

// OSTypes returns the values of Options.OSType, the default first.
func OSTypes() []string {
	var out []string
	for _, o := range osTypes() {
		out = append(out, o.name)
	}
	return out
}

// Options say what virtual machine goes with the disks. The zero value means the
// defaults.
type Options struct {
	// Name names the machine and begins the files' names: at most 80 letters,
	// digits, dots, hyphens and underlines of ASCII, the first a letter or a
	// digit. "" means DefaultName.
	Name string
	// CPUs is how many processors there are, 0 for DefaultCPUs.
	CPUs int
	// MemoryMiB is the memory, a multiple of 4 as VMware demands, 0 for
	// DefaultMemoryMiB.
	MemoryMiB int
	// OSType is one of OSTypes, "" for the first.
	OSType string
	// Firmware is "bios" (or "") or "efi". VMware reads it; VirtualBox has to be
	// told after the import.
	Firmware string
	// HardwareVersion is the number in vmx-NN, 0 for DefaultHardwareVersion.
	HardwareVersion int
	// Controller is "lsilogic" (or "") or "ahci".
	Controller string
}

// Check returns errcode.TargetOption for options that are wrong, or wrong together.
func (o Options) Check() error {
	_, err := o.complete()
	return err
}

// complete checks the options and puts in the defaults.
func (o Options) complete() (Options, error) {
	o = o.defaults()
	switch {
	case !goodName(o.Name):
		return o, wrongOption("name", clip(o.Name), "at most 80 letters, digits, dots, hyphens and underlines, beginning with a letter or a digit")
	case o.CPUs < 1 || o.CPUs > MaxCPUs:
		return o, wrongOption("cpus", o.CPUs, fmt.Sprintf("1 to %d", MaxCPUs))
	case o.MemoryMiB < MinMemoryMiB || o.MemoryMiB > MaxMemoryMiB || o.MemoryMiB%4 != 0:
		return o, wrongOption("memory", o.MemoryMiB, fmt.Sprintf("MiB, a multiple of 4, %d to %d", MinMemoryMiB, MaxMemoryMiB))
	case !slices.Contains(OSTypes(), o.OSType):
		return o, wrongOption("os_type", clip(o.OSType), strings.Join(OSTypes(), ", "))
	case o.Firmware != FirmwareBIOS && o.Firmware != FirmwareEFI:
		return o, wrongOption("firmware", clip(o.Firmware), FirmwareBIOS+", "+FirmwareEFI)
	case o.Controller != ControllerLSILogic && o.Controller != ControllerAHCI:
		return o, wrongOption("controller", clip(o.Controller), ControllerLSILogic+", "+ControllerAHCI)
	case o.HardwareVersion < o.oldest() || o.HardwareVersion > MaxHardwareVersion:
		return o, wrongOption("hardware_version", o.HardwareVersion,
			fmt.Sprintf("%d to %d with %s and %s", o.oldest(), MaxHardwareVersion, o.Firmware, o.Controller))
	}
	return o, nil
}

// oldest returns the oldest virtual hardware that has what is asked for.
func (o Options) oldest() int {
	n := MinHardwareVersion
	if o.Firmware == FirmwareEFI {
		n = max(n, minEFIHardware)
	}
	if o.Controller == ControllerAHCI {
		n = max(n, minAHCIHardware)
	}
	return n
}

// defaults puts in the defaults.
func (o Options) defaults() Options {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.CPUs == 0 {
		o.CPUs = DefaultCPUs
	}
	if o.MemoryMiB == 0 {
		o.MemoryMiB = DefaultMemoryMiB
	}
	if o.OSType == "" {
		o.OSType = OSTypes()[0]
	}
	if o.Firmware == "" {
		o.Firmware = FirmwareBIOS
	}
	if o.HardwareVersion == 0 {
		o.HardwareVersion = DefaultHardwareVersion
	}
	if o.Controller == "" {
		o.Controller = ControllerLSILogic
	}
	return o
}

// os returns what OSType means.
func (o Options) os() osType {
	all := osTypes()
	return all[max(0, slices.IndexFunc(all, func(t osType) bool { return t.name == o.OSType }))]
}

// codec names the options as part of a codec.
func (o Options) codec() string {
	o = o.defaults()
	return fmt.Sprintf("name=%q cpus=%d memory=%d os_type=%q firmware=%q hardware_version=%d controller=%q",
		o.Name, o.CPUs, o.MemoryMiB, o.OSType, o.Firmware, o.HardwareVersion, o.Controller)
}

// goodName reports whether a name can begin a file's name anywhere and stand in a
// manifest, whose lines have no quotation.
func goodName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return false
		}
	}
	return s != "" && len(s) <= maxNameBytes
}

// wrongOption says what is right for an option.
func wrongOption(name string, value any, right string) error {
	return errcode.New(errcode.TargetOption, "ova: option %s takes %s", name, right).
		With(errcode.Evidence{Format: container, Structure: "option", Field: name, Value: fmt.Sprint(value), Limit: right})
}

// clip keeps a value short enough for a message.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "?") }
