package ova

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"

	"ingest/internal/binio"
)

// container is the format's name in evidence.
const container = "ova"

// formatURI names the disks' format ("Virtual Disk Format", VMware); DiskSection's
// ovf:format is such a URI (DSP0243, "DiskSection").
const formatURI = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

// networkName is the name of vSphere's first network.
const networkName = "VM Network"

// The values of rasd:ResourceType that are used (DSP0243, "Virtual
// Hardware Elements", and CIM_ResourceAllocationSettingData).
const (
	resourceCPU     = 3
	resourceMemory  = 4
	resourceSCSI    = 6
	resourceNetwork = 10
	resourceDisk    = 17
	resourceStorage = 20
)

// Items' rasd:InstanceID. Those of disks follow.
const (
	itemCPU = iota + 1
	itemMemory
	itemController
	itemNetwork
	itemDisk
)

// A stored is a disk in the file.
type stored struct {
	size      int64 // bytes of the file
	capacity  int64 // virtual size, bytes
	populated int64 // guest bytes that are data
}

// diskName returns the name of the disk with an index from 0 on.
func (o Options) diskName(i int) string { return fmt.Sprintf("%s-disk%d.vmdk", o.Name, i+1) }

// descriptorSize returns the length of the descriptor of so many disks, whatever
// their sizes: whole blocks, so that it can be written behind what follows it.
func (o Options) descriptorSize(disks int) int64 {
	widest := make([]stored, disks)
	for i := range widest {
		widest[i] = stored{math.MaxInt64, math.MaxInt64, math.MaxInt64}
	}
	return binio.DivCeil(int64(len(o.text(widest, 0))), blockBytes) * blockBytes
}

// descriptor returns the OVF descriptor, filled up with spaces before its last
// line.
func (o Options) descriptor(disks []stored) []byte {
	pad := o.descriptorSize(len(disks)) - int64(len(o.text(disks, 0)))
	return []byte(o.text(disks, int(pad)))
}

// text returns the descriptor. The sections' order is that of the schema
// (DSP8023): References, DiskSection, NetworkSection, VirtualSystem.
func (o Options) text(disks []stored, pad int) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
`)
	for i, d := range disks {
		fmt.Fprintf(&b, "    <File ovf:href=\"%s\" ovf:id=\"file%d\" ovf:size=\"%d\"/>\n", escape(o.diskName(i)), i+1, d.size)
	}
	b.WriteString("  </References>\n  <DiskSection>\n    <Info>Virtual disks</Info>\n")
	for i, d := range disks {
		fmt.Fprintf(&b, "    <Disk ovf:capacity=\"%d\" ovf:capacityAllocationUnits=\"byte\" ovf:diskId=\"vmdisk%d\" ovf:fileRef=\"file%d\" ovf:format=\"%s\" ovf:populatedSize=\"%d\"/>\n",
			d.capacity, i+1, i+1, formatURI, d.populated)
	}
	fmt.Fprintf(&b, "  </DiskSection>\n  <NetworkSection>\n    <Info>Networks</Info>\n    <Network ovf:name=\"%s\">\n      <Description>The first network</Description>\n    </Network>\n  </NetworkSection>\n", networkName)
	o.system(&b, len(disks))
	b.WriteString(strings.Repeat(" ", pad))
	b.WriteString("</Envelope>\n")
	return b.String()
}

// system writes the virtual machine (DSP0243, "Content Element",
// "OperatingSystemSection", "VirtualHardwareSection").
func (o Options) system(b *strings.Builder, disks int) {
	name, os := escape(o.Name), o.os()
	fmt.Fprintf(b, "  <VirtualSystem ovf:id=\"%s\">\n    <Info>A virtual machine</Info>\n    <Name>%s</Name>\n", name, name)
	fmt.Fprintf(b, "    <OperatingSystemSection ovf:id=\"%d\" vmw:osType=\"%s\">\n      <Info>The kind of installed guest operating system</Info>\n      <Description>%s</Description>\n    </OperatingSystemSection>\n",
		os.cim, os.vmware, escape(os.description))
	fmt.Fprintf(b, "    <VirtualHardwareSection>\n      <Info>Virtual hardware requirements</Info>\n      <System>\n        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n        <vssd:InstanceID>0</vssd:InstanceID>\n        <vssd:VirtualSystemIdentifier>%s</vssd:VirtualSystemIdentifier>\n        <vssd:VirtualSystemType>vmx-%02d</vssd:VirtualSystemType>\n      </System>\n",
		name, o.HardwareVersion)
	for _, i := range o.items(disks) {
		b.WriteString("      <Item>\n")
		for _, p := range i {
			fmt.Fprintf(b, "        <rasd:%s>%s</rasd:%s>\n", p.name, escape(p.value), p.name)
		}
		b.WriteString("      </Item>\n")
	}
	fmt.Fprintf(b, "      <vmw:Config ovf:required=\"false\" vmw:key=\"firmware\" vmw:value=\"%s\"/>\n", o.Firmware)
	b.WriteString("    </VirtualHardwareSection>\n  </VirtualSystem>\n")
}

// A property is one of a virtual device's. The schema wants a device's properties
// in the order of their names.
type property struct{ name, value string }

// items returns the devices.
func (o Options) items(disks int) [][]property {
	id := func(n int) property { return property{"InstanceID", fmt.Sprint(n)} }
	kind := func(n int) property { return property{"ResourceType", fmt.Sprint(n)} }
	controller := []property{{"Address", "0"}, {"Description", "SCSI Controller"}, {"ElementName", "SCSI Controller 0"},
		id(itemController), {"ResourceSubType", "lsilogic"}, kind(resourceSCSI)}
	if o.Controller == ControllerAHCI {
		controller = []property{{"Address", "0"}, {"Description", "SATA Controller"}, {"ElementName", "SATA Controller 0"},
			id(itemController), {"ResourceSubType", "vmware.sata.ahci"}, kind(resourceStorage)}
	}
	out := [][]property{
		{{"AllocationUnits", "hertz * 10^6"}, {"Description", "Number of Virtual CPUs"}, {"ElementName", fmt.Sprintf("%d virtual CPU(s)", o.CPUs)},
			id(itemCPU), kind(resourceCPU), {"VirtualQuantity", fmt.Sprint(o.CPUs)}},
		{{"AllocationUnits", "byte * 2^20"}, {"Description", "Memory Size"}, {"ElementName", fmt.Sprintf("%dMB of memory", o.MemoryMiB)},
			id(itemMemory), kind(resourceMemory), {"VirtualQuantity", fmt.Sprint(o.MemoryMiB)}},
		controller,
		{{"AddressOnParent", "7"}, {"AutomaticAllocation", "true"}, {"Connection", networkName}, {"Description", "E1000 ethernet adapter"},
			{"ElementName", "Ethernet 1"}, id(itemNetwork), {"ResourceSubType", "E1000"}, kind(resourceNetwork)},
	}
	for i := range disks {
		out = append(out, []property{{"AddressOnParent", fmt.Sprint(o.place(i))}, {"ElementName", fmt.Sprintf("Hard Disk %d", i+1)},
			{"HostResource", fmt.Sprintf("ovf:/disk/vmdisk%d", i+1)}, id(itemDisk + i), {"Parent", fmt.Sprint(itemController)}, kind(resourceDisk)})
	}
	return out
}

// place returns a disk's place on the controller. A SCSI controller itself has 7.
func (o Options) place(i int) int {
	if o.Controller == ControllerLSILogic && i >= 7 {
		return i + 1
	}
	return i
}

// escape makes text safe within an element or an attribute.
func escape(s string) string {
	var b strings.Builder
	// A strings.Builder takes all that is written to it.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
