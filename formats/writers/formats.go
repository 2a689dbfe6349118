package writers

import (
	"math/bits"

	"ingest/formats"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/transfer"
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
