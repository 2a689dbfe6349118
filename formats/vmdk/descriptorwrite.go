package vmdk

import (
	"encoding/binary"
	"fmt"
	"strings"

	"ingest/formats"
)

// descriptorSectors is how much room the embedded descriptor gets: as much as
// Workstation, qemu and open-vmdk leave. The options cannot fill it.
const descriptorSectors = 20

// Bounds of ddb.geometry.cylinders.
const (
	maxIDECylinders  = 16383 // ATA-5
	maxSCSICylinders = 65535
)

// descriptorText returns the descriptor of a disk in one file ("The Descriptor
// File"). size is the virtual size in bytes.
//
// The content id is derived from the disk, so that the same disk has the same
// one; ddb.longContentID ends with it, as VMware's programs have it. There is no
// ddb.uuid: VMware gives a disk one when it is imported, and two imports of one
// file must not share it.
func descriptorText(o Options, createType, access string, size int64, id formats.ID) string {
	cid := contentID(id)
	g := geometryOf(o.Adapter, size)
	long := id.Derive("ddb.longContentID")
	var b strings.Builder
	fmt.Fprintf(&b, "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=%08x\nparentCID=ffffffff\ncreateType=%q\n\n", cid, createType)
	fmt.Fprintf(&b, "# Extent description\n%s %d SPARSE \"%s\"\n\n", access, size/sectorBytes, o.Name)
	fmt.Fprintf(&b, "# The Disk Data Base\n#DDB\n\nddb.adapterType = %q\n", o.Adapter)
	fmt.Fprintf(&b, "ddb.geometry.cylinders = \"%d\"\nddb.geometry.heads = \"%d\"\nddb.geometry.sectors = \"%d\"\n", g.cylinders, g.heads, g.sectors)
	fmt.Fprintf(&b, "ddb.longContentID = \"%x%08x\"\n", long[:12], cid)
	fmt.Fprintf(&b, "ddb.virtualHWVersion = \"%d\"\n", o.HardwareVersion)
	return b.String()
}

// contentID returns a disk's CID. ffffffff means no parent and fffffffe a disk
// that was never written; 0 is what some programs take for none.
func contentID(id formats.ID) uint32 {
	cid := binary.BigEndian.Uint32(id[:])
	if cid == 0 || cid >= 0xfffffffe {
		cid = 0x1de47e57
	}
	return cid
}

// A geometry is how old firmware counts a disk.
type geometry struct{ cylinders, heads, sectors int64 }

// geometryOf returns the geometry that the adapter's firmware shows for a disk of
// size bytes, the cylinders rounded down as VMware does: 16 heads of 63 sectors
// for IDE (ATA-5, clause 6.2), and for SCSI the translation of BusLogic and LSI
// adapters, which grows at 1 GiB and at 2 GiB.
func geometryOf(adapter string, size int64) geometry {
	g, most := geometry{heads: 255, sectors: 63}, int64(maxSCSICylinders)
	switch {
	case adapter == AdapterIDE:
		g.heads, most = 16, maxIDECylinders
	case size < 1<<30:
		g.heads, g.sectors = 64, 32
	case size < 2<<30:
		g.heads, g.sectors = 128, 32
	}
	g.cylinders = min(max(1, size/sectorBytes/(g.heads*g.sectors)), most)
	return g
}
