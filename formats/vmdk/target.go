package vmdk

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// The shape of every image that is written: what VMware's own programs write,
// and all that some of them read.
const (
	grainSectors = 128
	grainBytes   = grainSectors * sectorBytes
	tableEntries = 512
	tableSectors = tableEntries * 4 / sectorBytes
	tableSpan    = tableEntries * grainBytes // guest bytes under one grain table
)

// Values of Options.Adapter: all that ddb.adapterType knows ("The Disk
// Database" of the technical note). Later controllers, such as pvscsi, are the
// business of the virtual machine's own file; their disks say lsilogic.
const (
	AdapterIDE       = "ide"
	AdapterBusLogic  = "buslogic"
	AdapterLSILogic  = "lsilogic"
	AdapterLegacyESX = "legacyESX"
)

// Adapters returns the values of Options.Adapter, the default first.
func Adapters() []string {
	return []string{AdapterLSILogic, AdapterBusLogic, AdapterIDE, AdapterLegacyESX}
}

// Bounds of Options.HardwareVersion. Products later than ESX 3 ignore the value
// in a disk, and 4 is what disks say that are to be read by all of them.
const (
	DefaultHardwareVersion = 4
	MinHardwareVersion     = 3
	MaxHardwareVersion     = 22
)

// maxNameBytes is the longest name of an extent file, as file systems have it.
const maxNameBytes = 255

// Options are what the descriptor of an image says beside the disk itself. The
// zero value means the defaults.
type Options struct {
	// Adapter is one of Adapters, "" for lsilogic. It also decides the geometry
	// that the descriptor announces.
	Adapter string
	// HardwareVersion is the oldest virtual hardware that is to take the disk, 0
	// for DefaultHardwareVersion.
	HardwareVersion int
	// Name is the file name in the extent line: a base name without quotation
	// marks, at most 255 bytes. Readers of one file ignore it. "" means
	// "generated-stream.vmdk" in a stream, as VMware's exporters say, and
	// "disk.vmdk" otherwise.
	Name string
}

// complete checks the options and puts in the defaults.
func (o Options) complete(name string) (Options, error) {
	o = o.defaults(name)
	switch {
	case !slices.Contains(Adapters(), o.Adapter):
		return o, wrongOption("adapter", clip(o.Adapter), strings.Join(Adapters(), ", "))
	case o.HardwareVersion < MinHardwareVersion || o.HardwareVersion > MaxHardwareVersion:
		return o, wrongOption("hardware_version", o.HardwareVersion, fmt.Sprintf("%d to %d", MinHardwareVersion, MaxHardwareVersion))
	case !goodName(o.Name):
		return o, wrongOption("name", clip(o.Name), `a file name of at most 255 bytes without / \ : " and control characters`)
	}
	return o, nil
}

// defaults puts in the defaults.
func (o Options) defaults(name string) Options {
	if o.Adapter == "" {
		o.Adapter = AdapterLSILogic
	}
	if o.HardwareVersion == 0 {
		o.HardwareVersion = DefaultHardwareVersion
	}
	if o.Name == "" {
		o.Name = name
	}
	return o
}

// codec names the options as part of a codec.
func (o Options) codec() string {
	return fmt.Sprintf("adapter=%s hardware_version=%d name=%q", o.Adapter, o.HardwareVersion, o.Name)
}

// goodName reports whether a name can stand in the extent line and leads
// nowhere: base names only.
func goodName(s string) bool {
	if s == "." || s == ".." || len(s) > maxNameBytes || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return strings.ContainsRune(`/\:"`, r) || !unicode.IsPrint(r)
	})
}

// wrongOption says what is right for an option.
func wrongOption(name string, value any, right string) error {
	return errcode.New(errcode.TargetOption, "vmdk option %s=%v: it takes %s", name, value, right).
		With(errcode.Evidence{Format: string(formats.VMDK), Structure: "option", Field: name, Value: fmt.Sprint(value), Limit: right})
}

// virtualSize returns a source's size rounded up to whole sectors, refusing what
// is above most. Both are bytes. The technical note would have a capacity of whole
// grains; neither VMware's programs nor others insist on it, and a disk that grows
// has its backup GPT at the wrong place.
func virtualSize(size, most int64, why string) (int64, error) {
	if size <= 0 {
		return 0, errcode.New(errcode.VirtualSizeZero, "the source's disk has %d bytes", size).
			With(errcode.Evidence{Format: string(formats.VMDK), Structure: "source", Field: "virtual size", Value: fmt.Sprint(size)})
	}
	if size > most {
		return 0, errcode.New(errcode.VirtualSizeTooLarge, "a disk of %d bytes does not fit: %s", size, why).
			With(errcode.Evidence{Format: string(formats.VMDK), Structure: "source", Field: "virtual size", Value: fmt.Sprint(size), Limit: fmt.Sprint(most)})
	}
	return binio.DivCeil(size, sectorBytes) * sectorBytes, nil
}

// tableCount returns how many grain tables a disk of size bytes has.
func tableCount(size int64) int64 { return binio.DivCeil(size, tableSpan) }

// sectorsOf returns how many sectors n bytes take.
func sectorsOf(n int64) int64 { return binio.DivCeil(n, sectorBytes) }
