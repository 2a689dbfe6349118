package config

import (
	"fmt"

	"github.com/spf13/pflag"

	"ingest/formats"
	"ingest/unwrap"
)

// Limits bound what reading one image, and taking off what is around it, may
// cost. Sizes are bytes.
type Limits struct {
	Formats formats.Limits
	Unwrap  unwrap.Limits
}

// A limit is a flag of Limits, with what it can be set to.
type limit struct {
	flag      string
	value     *int64
	low, high int64
	help      string
}

func (l *Limits) all() []limit {
	return []limit{
		{"max-virtual-size", &l.Formats.VirtualSize, 512, 1 << 60, "largest virtual size of an image, bytes"},
		{"max-table-bytes", &l.Formats.TableBytes, 1 << 20, 1 << 32, "largest table of an image that is held in memory, bytes"},
		{"max-descriptor-bytes", &l.Formats.DescriptorBytes, 1 << 10, 1 << 24, "largest text descriptor of a VMDK, bytes"},
		{"max-expansion-ratio", &l.Formats.ExpansionRatio, 1, 1 << 30, "guest bytes that one byte of a compressed image may stand for"},
		{"max-qcow2-refcount-bytes", &l.Formats.RefcountBytes, 1 << 12, 1 << 32, "largest refcount table of a qcow2 image, bytes"},
		{"max-qcow2-snapshots", &l.Formats.Snapshots, 0, 1<<32 - 1, "snapshots that a qcow2 image may name; they are left behind"},
		{"max-qcow2-snapshot-bytes", &l.Formats.SnapshotBytes, 0, 1 << 32, "largest table of a qcow2 image's snapshots, bytes"},
		{"max-unpacked-bytes", &l.Unwrap.Output, 1 << 20, 1 << 60, "largest file that comes out of a compressed source, bytes"},
		{"max-unpacking-ratio", &l.Unwrap.Ratio, 1, 1 << 30, "bytes other than zeros that one byte of a compressed source may stand for"},
		{"max-xz-dictionary", &l.Unwrap.Dictionary, 1 << 20, 3 << 29, "largest dictionary of an xz source, bytes"},
		{"max-zstd-window", &l.Unwrap.Window, 1 << 20, 1 << 31, "largest window of a zstd source, bytes"},
	}
}

func (l *Limits) flags(f *pflag.FlagSet) {
	l.Formats, l.Unwrap = formats.DefaultLimits(), unwrap.DefaultLimits()
	for _, x := range l.all() {
		f.Int64Var(x.value, x.flag, *x.value, x.help)
	}
}

func (l *Limits) check() error {
	for _, x := range l.all() {
		if *x.value < x.low || *x.value > x.high {
			return bad("--"+x.flag, fmt.Sprint(*x.value), fmt.Sprintf("is not from %d to %d", x.low, x.high))
		}
	}
	return nil
}
