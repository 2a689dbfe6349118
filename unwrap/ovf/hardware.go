package ovf

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Values of ResourceType (CIM_ResourceAllocationSettingData).
const (
	typeIDE     = "5"
	typeSCSI    = "6"
	typeNetwork = "10"
	typeDisk    = "17"
	typeStorage = "20" // SATA and what else there is
)

// order sorts the disks as the machine has them and marks the one that it boots
// from: the one that VMware's boot order names, else the first.
func (d *Descriptor) order(disks []Disk) {
	rank := func(k Disk) [3]int {
		i := d.itemOf(k)
		if i < 0 {
			return [3]int{math.MaxInt, math.MaxInt, 0}
		}
		return [3]int{d.controller(d.items[i]["Parent"]), number(d.items[i]["AddressOnParent"]), i}
	}
	slices.SortStableFunc(disks, func(a, b Disk) int {
		x, y := rank(a), rank(b)
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]))
	})
	boot := 0
	for _, id := range slices.Backward(d.boot) {
		for i, k := range disks {
			if j := d.itemOf(k); j >= 0 && d.items[j]["InstanceID"] == id {
				boot = i
			}
		}
	}
	for i := range disks {
		disks[i].Boot = i == boot
	}
}

// itemOf returns the index of the device that has a disk, -1 if there is none. The
// form is ovf:/disk/ID; version 0.9 had /disk/ID (DSP0243, "HostResource").
func (d *Descriptor) itemOf(k Disk) int {
	return slices.IndexFunc(d.items, func(i item) bool {
		id, ok := strings.CutPrefix(strings.TrimPrefix(i["HostResource"], "ovf:"), "/disk/")
		return ok && id == k.ID && i["ResourceType"] == typeDisk
	})
}

// controller returns the place of a controller among the devices.
func (d *Descriptor) controller(id string) int {
	for n, i := range d.items {
		if id != "" && i["InstanceID"] == id {
			return n
		}
	}
	return math.MaxInt
}

// number reads an address; a device without one comes last on its controller.
func number(s string) int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return math.MaxInt
	}
	return int(n)
}

// properties translates what the machine is into Glance's words ("Useful image
// properties" in Glance's administration guide). What is not known is left out.
func (d *Descriptor) properties(disks []Disk) map[string]string {
	out := map[string]string{}
	set := func(key, value string) {
		if value != "" && out[key] == "" {
			out[key] = value
		}
	}
	switch strings.ToLower(d.config["firmware"]) {
	case "bios":
		set("hw_firmware_type", "bios")
	case "efi", "efi32", "efi64", "efidual": // VirtualBox knows several
		set("hw_firmware_type", "uefi")
	}
	for _, k := range disks {
		if i := d.itemOf(k); k.Boot && i >= 0 {
			if n := d.controller(d.items[i]["Parent"]); n < len(d.items) {
				bus, model := busOf(d.items[n])
				set("hw_disk_bus", bus)
				set("hw_scsi_model", model)
			}
		}
	}
	for _, i := range d.items {
		if i["ResourceType"] == typeNetwork {
			set("hw_vif_model", vif(i["ResourceSubType"]))
		}
	}
	set("os_type", d.guest())
	return out
}

// busOf returns a controller's bus and, of SCSI, its model.
func busOf(i item) (bus, model string) {
	sub := strings.ToLower(i["ResourceSubType"])
	switch i["ResourceType"] {
	case typeIDE:
		return "ide", ""
	case typeSCSI:
		switch sub {
		case "lsilogic":
			return "scsi", "lsilogic"
		case "lsilogicsas":
			return "scsi", "lsisas1068"
		case "buslogic":
			return "scsi", "buslogic"
		case "virtualscsi":
			return "scsi", "vmpvscsi"
		}
		return "scsi", ""
	case typeStorage:
		if strings.Contains(sub, "ahci") {
			return "sata", ""
		}
	}
	return "", ""
}

// vif returns the model of a network card.
func vif(sub string) string {
	switch s := strings.ToLower(sub); s {
	case "e1000", "e1000e", "vmxnet3":
		return s
	case "vmxnet":
		return "vmxnet"
	case "pcnet32":
		return "pcnet"
	case "virtio":
		return "virtio"
	}
	return ""
}

// guest returns what Glance calls the guest's system, by VMware's identifier or by
// CIM's number: those of Windows that VMware and VirtualBox export.
func (d *Descriptor) guest() string {
	t := strings.ToLower(d.osType)
	switch {
	case strings.HasPrefix(t, "win"):
		return "windows"
	case t == "" || t == "otherguest" || t == "otherguest64":
	case strings.Contains(t, "linux"), strings.HasPrefix(t, "debian"), strings.HasPrefix(t, "ubuntu"), strings.HasPrefix(t, "rhel"),
		strings.HasPrefix(t, "centos"), strings.HasPrefix(t, "sles"), strings.HasPrefix(t, "fedora"), strings.HasPrefix(t, "opensuse"):
		return "linux"
	}
	switch d.osID {
	case "67", "69", "70", "71", "73", "74", "76", "77", "103", "105", "112", "113", "114", "115", "116", "117", "118", "120":
		return "windows"
	case "36", "79", "80", "82", "83", "84", "85", "93", "94", "95", "96", "99", "100", "101", "106", "107":
		return "linux"
	}
	return ""
}
