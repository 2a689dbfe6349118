// Package tree says what is asked of a file system's tree of files, and what is
// answered. It is the language between the process that inspects a disk and its child
// that reads file systems: plain data, and bounded.
//
// What a Listing says comes from hostile bytes through code that is not trusted: Clean
// makes it fit to be shown and kept.
package tree

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits on one listing.
const (
	maxText = 256 // bytes of one text
	maxList = 32  // texts of one list
)

// A Volume is a file system that is to be read.
type Volume struct {
	Kind string `json:"kind"`   // as package filesystem calls it
	Off  int64  `json:"offset"` // guest offset, bytes
	Len  int64  `json:"length"` // bytes
}

// A Listing is what was found in one file system. Empty fields were not found.
type Listing struct {
	// NotInspected says why the tree was not read, or not to its end.
	NotInspected string `json:"not_inspected,omitempty"`
	// EFIBoot are the names in /EFI/BOOT that firmware starts by itself, upper case.
	EFIBoot []string `json:"efi_boot,omitempty"`
	// EFIVendors are the other folders in /EFI.
	EFIVendors []string `json:"efi_vendors,omitempty"`
	// OS is the content of os-release.
	OS OSRelease `json:"os_release,omitzero"`
	// Kernels are the names of Linux kernels in /boot or /.
	Kernels []string `json:"kernels,omitempty"`
	// Virtio are the virtio drivers that the newest kernel has: "blk", "net", "scsi".
	Virtio []string `json:"virtio,omitempty"`
	// Modules is true if the kernel's modules were looked into for Virtio.
	Modules bool `json:"modules,omitempty"`
	// CloudInit is true if cloud-init is installed.
	CloudInit bool `json:"cloud_init,omitempty"`
	// Machine is what a program of the system is made for, as uname writes it.
	Machine string `json:"machine,omitempty"`
	// Devices are device names in /etc/fstab that another virtual machine may not have.
	Devices []string `json:"fstab_devices,omitempty"`
	// Windows are the boot and system files of Windows that were found.
	Windows []string `json:"windows,omitempty"`
}

// OSRelease is what is of interest in os-release (freedesktop.org's os-release(5)).
type OSRelease struct {
	ID         string `json:"id,omitempty"`
	VersionID  string `json:"version_id,omitempty"`
	PrettyName string `json:"pretty_name,omitempty"`
}

// Clean cuts every list and text to its limit, and replaces what cannot be printed.
func (l *Listing) Clean() {
	for _, s := range []*string{&l.NotInspected, &l.OS.ID, &l.OS.VersionID, &l.OS.PrettyName, &l.Machine} {
		*s = Text(*s)
	}
	for _, list := range []*[]string{&l.EFIBoot, &l.EFIVendors, &l.Kernels, &l.Virtio, &l.Devices, &l.Windows} {
		*list = (*list)[:min(len(*list), maxList)]
		for i := range *list {
			(*list)[i] = Text((*list)[i])
		}
	}
}

// Text returns s without what cannot be printed, and not longer than a text may be.
func Text(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
