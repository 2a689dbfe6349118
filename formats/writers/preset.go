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
		{Name: "openstack", Format: "qcow2", Options: map[string]string{"compression": "none", "cluster_size": "64K"},
			Why:    "Nova boots from it as it is; with Ceph behind, take raw",
			Source: "https://docs.openstack.org/image-guide/convert-images.html"},
		{Name: "proxmox", Format: "qcow2", Options: map[string]string{"compression": "none", "cluster_size": "64K"},
			Why:    "`qm importdisk` takes it, and directory storage keeps it with snapshots",
			Source: "https://pve.proxmox.com/wiki/Storage"},
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
