package writers

import (
	"math/bits"
	"strconv"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/gce"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/formats/vdi"
	"ingest/formats/vhd"
	"ingest/formats/vhdx"
	"ingest/formats/vmdk"
)

func rawWriter() Writer {
	return Writer{
		Name: "raw", DiskFormat: formats.Raw, Container: "bare", Extensions: []string{".raw", ".img"},
		Help: "the guest's bytes, sparse: zeros take no room",
		make: func(Options, transfer.Engine) Made {
			return Made{Planner: raw.Planner{}, Codec: "raw", Open: raw.Format{}.Open}
		},
	}
}

func qcow2Writer() Writer {
	return Writer{
		Name: "qcow2", DiskFormat: formats.QCOW2, Container: "bare", Extensions: []string{".qcow2", ".qcow"},
		Help: "version 3, for QEMU and KVM",
		Options: []Option{
			{Name: "compression", Kind: Choice, Values: []string{"none", "zlib", "zstd"}, Default: "none",
				Help: "zlib is read by all; zstd is faster, and read by QEMU 5.1 and later"},
			{Name: "cluster_size", Kind: Size, Min: 512, Max: 2 << 20, Default: "64K",
				Help: "unit of allocation and compression"},
		},
		make: func(o Options, e transfer.Engine) Made {
			shift := bits.TrailingZeros64(uint64(o.size("cluster_size")))
			enc := qcow2.Encoder{Compression: o["compression"], ClusterBits: shift, Engine: e}
			m := Made{Encoder: enc, Codec: enc.Codec(), Open: qcow2.Witness{}.Open}
			if o["compression"] == "none" {
				m.Planner = qcow2.Planner{ClusterBits: shift}
			}
			return m
		},
	}
}

// uuidOption is that of formats whose headers hold an id of the disk.
func uuidOption() Option {
	return Option{Name: "uuid", Kind: UUID, Help: "id of the disk in its header; left out, it is derived from the disk"}
}

// blockMade is a writer of equal blocks.
func blockMade(t blocks.Target, e transfer.Engine, f formats.Format) Made {
	return Made{
		Planner: blocks.Planner{Target: t}, Encoder: blocks.Encoder{Target: t, Engine: e}, Codec: t.Codec(), Open: f.Open,
		Fits: func(size int64) error { return blocks.Fits(t, size) },
	}
}

func vhdWriter() Writer {
	return Writer{
		Name: "vhd", DiskFormat: formats.VHD, Container: "bare", Extensions: []string{".vhd", ".vpc"},
		Help: "for Hyper-V generation 1, XenServer and Azure",
		Options: []Option{
			{Name: "subformat", Kind: Choice, Values: []string{"dynamic", "fixed"}, Default: "dynamic",
				Help: "dynamic leaves out what is empty, fixed is the guest's bytes and a footer"},
			{Name: "block_size", Kind: Size, Min: vhd.MinBlockSize, Max: vhd.MaxBlockSize, Default: FormatSize(vhd.DefaultBlockSize), Only: "subformat=dynamic",
				Help: "unit of allocation"},
			{Name: "align", Kind: Bytes, Min: 512, Max: 1 << 30, Default: "512", Only: "subformat=fixed",
				Help: "the virtual size is rounded up to a multiple of it"},
			{Name: "min_size", Kind: Bytes, Min: 512, Max: 64 << 40, Only: "subformat=fixed", Help: "a smaller disk grows to it"},
			{Name: "max_size", Kind: Bytes, Min: 512, Max: 64 << 40, Only: "subformat=fixed", Help: "a larger disk is refused"},
			uuidOption(),
		},
		check: func(o Options) error {
			if o["subformat"] == "fixed" {
				return fixedOf(o).Check()
			}
			return nil
		},
		make: func(o Options, e transfer.Engine) Made {
			if o["subformat"] == "fixed" {
				f := fixedOf(o)
				return Made{Planner: f, Codec: f.Codec(), Open: vhd.Format{}.Open, Fits: f.Fits}
			}
			return blockMade(vhd.Dynamic{BlockSize: o.size("block_size"), UUID: o["uuid"]}, e, vhd.Format{})
		},
	}
}

// fixedOf returns the fixed VHD that the settings describe.
func fixedOf(o Options) vhd.Fixed {
	return vhd.Fixed{Align: o.size("align"), MinSize: o.size("min_size"), MaxSize: o.size("max_size"), UUID: o["uuid"]}
}

func vdiWriter() Writer {
	return Writer{
		Name: "vdi", DiskFormat: formats.VDI, Container: "bare", Extensions: []string{".vdi"},
		Help: "dynamic, for VirtualBox", Options: []Option{uuidOption()},
		make: func(o Options, e transfer.Engine) Made {
			return blockMade(vdi.Dynamic{UUID: o["uuid"]}, e, vdi.Format{})
		},
	}
}

func vhdxWriter() Writer {
	return Writer{
		Name: "vhdx", DiskFormat: formats.VHDX, Container: "bare", Extensions: []string{".vhdx"},
		Help: "dynamic, for Hyper-V",
		Options: []Option{
			{Name: "block_size", Kind: Size, Min: 1 << 20, Max: 256 << 20, Default: FormatSize(vhdx.DefaultBlockSize),
				Help: "unit of allocation"},
			{Name: "logical_sector_size", Kind: Choice, Values: []string{"512", "4096"}, Default: "512",
				Help: "sectors that the guest sees; its partition table counts in them"},
			uuidOption(),
		},
		make: func(o Options, e transfer.Engine) Made {
			return blockMade(vhdx.Dynamic{BlockSize: o.size("block_size"), LogicalSector: o.number("logical_sector_size"), UUID: o.id("uuid")}, e, vhdx.Format{})
		},
	}
}

func vmdkWriter() Writer {
	return Writer{
		Name: "vmdk", DiskFormat: formats.VMDK, Container: "bare", Extensions: []string{".vmdk"},
		Help: "for VMware and for imports into AWS",
		Options: []Option{
			{Name: "subformat", Kind: Choice, Values: []string{"streamOptimized", "monolithicSparse"}, Default: "streamOptimized",
				Help: "streamOptimized is compressed and what clouds import; monolithicSparse is what Workstation runs"},
			{Name: "adapter", Kind: Choice, Values: vmdk.Adapters(), Default: vmdk.Adapters()[0],
				Help: "disk controller that the descriptor names"},
			{Name: "hardware_version", Kind: Number, Min: vmdk.MinHardwareVersion, Max: vmdk.MaxHardwareVersion, Default: strconv.Itoa(vmdk.DefaultHardwareVersion),
				Help: "oldest virtual hardware that takes the disk"},
			{Name: "compression_level", Kind: Number, Min: 1, Max: 9, Default: strconv.Itoa(vmdk.DefaultCompressionLevel), Only: "subformat=streamOptimized",
				Help: "1 is fast, 9 is small"},
		},
		make: func(o Options, e transfer.Engine) Made {
			opts := vmdk.Options{Adapter: o["adapter"], HardwareVersion: int(o.number("hardware_version"))}
			if o["subformat"] == "monolithicSparse" {
				return blockMade(vmdk.Sparse{Options: opts}, e, vmdk.Format{})
			}
			enc := vmdk.Stream{Options: opts, CompressionLevel: int(o.number("compression_level")), Engine: e}
			return Made{Encoder: enc, Codec: enc.Codec(), Open: vmdk.Format{}.Open}
		},
	}
}

func gceWriter() Writer {
	return Writer{
		Name: "gce", DiskFormat: formats.Raw, Container: "compressed", Extensions: []string{".tar.gz"},
		Help: "disk.raw in a sparse tar.gz, for Google Compute Engine",
		Options: []Option{
			{Name: "align", Kind: Bytes, Min: gce.MinAlign, Max: gce.MaxAlign, Default: FormatSize(gce.DefaultAlign),
				Help: "the virtual size is rounded up to a multiple of it"},
			{Name: "compression_level", Kind: Number, Min: gce.MinLevel, Max: gce.MaxLevel, Default: strconv.Itoa(gce.DefaultLevel),
				Help: "1 is fast, 9 is small"},
		},
		make: func(o Options, e transfer.Engine) Made {
			enc := gce.Encoder{Align: o.size("align"), Level: int(o.number("compression_level")), Engine: e}
			return Made{Encoder: enc, Codec: enc.Codec(), Open: gce.Open}
		},
	}
}
