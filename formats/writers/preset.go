package writers

import "strings"

// A Preset is what a cloud or a hypervisor wants.
type Preset struct {
	Name    string            `json:"name"`
	Format  string            `json:"format"` // of a Writer
	Options map[string]string `json:"options,omitempty"`
	Why     string            `json:"why"`
	Source  string            `json:"source"` // where the target says so
}

// Presets returns every preset.
func Presets() []Preset {
	return []Preset{
		{Name: "aws", Format: "vmdk", Options: map[string]string{"subformat": "streamOptimized"},
			Why:    "VM Import takes streamOptimized VMDK, and it is the smallest that it takes; it takes raw too",
			Source: "https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html"},
		{Name: "azure", Format: "vhd", Options: map[string]string{"subformat": "fixed", "align": "1M", "min_size": "20M", "max_size": "32767G"},
			Why:    "fixed, whole MiB, 20 MiB to 32767 GiB: what an upload to a managed disk takes",
			Source: "https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic"},
		{Name: "openstack", Format: "qcow2", Options: map[string]string{"compression": "none", "cluster_size": "64K"},
			Why:    "Nova boots from it as it is; with Ceph behind, take raw",
			Source: "https://docs.openstack.org/image-guide/convert-images.html"},
		{Name: "proxmox", Format: "qcow2", Options: map[string]string{"compression": "none", "cluster_size": "64K"},
			Why:    "`qm importdisk` takes it, and directory storage keeps it with snapshots",
			Source: "https://pve.proxmox.com/wiki/Storage"},
		{Name: "hyperv", Format: "vhdx", Options: map[string]string{"block_size": "1M", "logical_sector_size": "512"},
			Why:    "both generations; blocks of 1 MiB keep Linux guests small",
			Source: "https://learn.microsoft.com/windows-server/virtualization/hyper-v/best-practices-for-running-linux-on-hyper-v"},
		{Name: "virtualbox", Format: "vdi", Why: "VirtualBox's own format",
			Source: "https://www.virtualbox.org/manual/ch05.html#vdidetails"},
		{Name: "vmware", Format: "vmdk", Options: map[string]string{"subformat": "streamOptimized", "adapter": "lsilogic"},
			Why:    "what ovftool, `govc import.vmdk` and content libraries take; for a whole machine, take ova",
			Source: "https://github.com/vmware/open-vmdk"},
	}
}

// FindPreset returns the preset of a name in any case.
func FindPreset(name string) (Preset, bool) {
	for _, p := range Presets() {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Preset{}, false
}
