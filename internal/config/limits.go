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
	count     *int // instead of value, of what is counted
}

// number is what the limit is set to.
func (l limit) number() int64 {
	if l.count != nil {
		return int64(*l.count)
	}
	return *l.value
}

func (l *Limits) all() []limit {
	return []limit{
		{"max-virtual-size", &l.Formats.VirtualSize, 512, 1 << 60, "largest virtual size of an image, bytes", nil},
		{"max-table-bytes", &l.Formats.TableBytes, 1 << 20, 1 << 32, "largest table of an image that is held in memory, bytes", nil},
		{"max-descriptor-bytes", &l.Formats.DescriptorBytes, 1 << 10, 1 << 24, "largest text descriptor of a VMDK, bytes", nil},
		{"max-expansion-ratio", &l.Formats.ExpansionRatio, 1, 1 << 30, "guest bytes that one byte of a compressed image may stand for", nil},
		{"max-qcow2-refcount-bytes", &l.Formats.RefcountBytes, 1 << 12, 1 << 32, "largest refcount table of a qcow2 image, bytes", nil},
		{"max-qcow2-snapshots", &l.Formats.Snapshots, 0, 1<<32 - 1, "snapshots that a qcow2 image may name; they are left behind", nil},
		{"max-qcow2-snapshot-bytes", &l.Formats.SnapshotBytes, 0, 1 << 32, "largest table of a qcow2 image's snapshots, bytes", nil},
		{"max-unpacked-bytes", &l.Unwrap.Output, 1 << 20, 1 << 60, "largest file that comes out of a compressed source, bytes", nil},
		{"max-unpacking-ratio", &l.Unwrap.Ratio, 1, 1 << 30, "bytes other than zeros that one byte of a compressed source may stand for", nil},
		{"max-xz-dictionary", &l.Unwrap.Dictionary, 1 << 20, 3 << 29, "largest dictionary of an xz source, bytes", nil},
		{"max-zstd-window", &l.Unwrap.Window, 1 << 20, 1 << 31, "largest window of a zstd source, bytes", nil},
		{"max-archive-members", nil, 1, 1 << 20, "members that a tar or zip may have", &l.Unwrap.Archive.Members},
		{"max-archive-name-bytes", nil, 1, 1 << 16, "longest name of a member of a tar or zip, bytes", &l.Unwrap.Archive.NameBytes},
		{"max-ovf-bytes", &l.Unwrap.OVF.DescriptorBytes, 1 << 10, 1 << 26, "largest OVF descriptor, bytes", nil},
		{"max-ovf-manifest-bytes", &l.Unwrap.OVF.ManifestBytes, 1 << 8, 1 << 24, "largest manifest of an OVA, bytes", nil},
		{"max-ovf-depth", nil, 8, 1 << 10, "how deep elements of an OVF descriptor may lie", &l.Unwrap.OVF.Depth},
		{"max-ovf-files", nil, 1, 1 << 10, "files that an OVF descriptor may name", &l.Unwrap.OVF.Files},
		{"max-docker-members", nil, 1, 1 << 20, "members that a container image may have", &l.Unwrap.Docker.Members},
		{"max-docker-json-bytes", &l.Unwrap.Docker.JSONBytes, 1 << 10, 1 << 26, "largest file that says what a container image is, bytes", nil},
		{"max-docker-layer-members", nil, 1, 1 << 30, "members that all layers of a container image may have together", &l.Unwrap.Docker.LayerMembers},
	}
}

func (l *Limits) flags(f *pflag.FlagSet) {
	l.Formats, l.Unwrap = formats.DefaultLimits(), unwrap.DefaultLimits()
	for _, x := range l.all() {
		if x.count != nil {
			f.IntVar(x.count, x.flag, *x.count, x.help)
			continue
		}
		f.Int64Var(x.value, x.flag, *x.value, x.help)
	}
}

func (l *Limits) check() error {
	for _, x := range l.all() {
		if n := x.number(); n < x.low || n > x.high {
			return bad("--"+x.flag, fmt.Sprint(n), fmt.Sprintf("is not from %d to %d", x.low, x.high))
		}
	}
	return nil
}
