package writers

import (
	"context"
	"io"
	"strconv"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/ova"
	"ingest/formats/transfer"
	"ingest/formats/vmdk"
	"ingest/internal/errcode"
)

func ovaWriter() Writer {
	return Writer{
		Name: "ova", DiskFormat: formats.VMDK, Container: "ova", Extensions: []string{".ova"},
		Help: "a machine of one or more streamOptimized VMDKs, for VMware and VirtualBox",
		Options: []Option{
			{Name: "name", Kind: Name, Default: ova.DefaultName, Help: "name of the machine and of the files"},
			{Name: "cpus", Kind: Number, Min: 1, Max: ova.MaxCPUs, Default: strconv.Itoa(ova.DefaultCPUs), Help: "processors"},
			{Name: "memory_mib", Kind: Number, Min: ova.MinMemoryMiB, Max: ova.MaxMemoryMiB, Step: 4, Default: strconv.Itoa(ova.DefaultMemoryMiB), Help: "memory, MiB"},
			{Name: "os_type", Kind: Choice, Values: ova.OSTypes(), Default: ova.OSTypes()[0], Help: "what is installed"},
			{Name: "firmware", Kind: Choice, Values: []string{ova.FirmwareBIOS, ova.FirmwareEFI}, Default: ova.FirmwareBIOS,
				Help: "VMware reads it; VirtualBox has to be told after the import"},
			{Name: "hardware_version", Kind: Number, Min: ova.MinHardwareVersion, Max: ova.MaxHardwareVersion, Default: strconv.Itoa(ova.DefaultHardwareVersion),
				Help: "VMware's, the number in vmx-NN"},
			{Name: "controller", Kind: Choice, Values: []string{ova.ControllerLSILogic, ova.ControllerAHCI}, Default: ova.ControllerLSILogic,
				Help: "what the disks are attached to"},
			{Name: "compression_level", Kind: Number, Min: 1, Max: 9, Default: strconv.Itoa(vmdk.DefaultCompressionLevel), Help: "1 is fast, 9 is small"},
		},
		check: func(o Options) error { return machineOf(o).Check() },
		make:  makeOVA,
	}
}

// machineOf returns what virtual machine the settings describe.
func machineOf(o Options) ova.Options {
	return ova.Options{
		Name: o["name"], CPUs: int(o.number("cpus")), MemoryMiB: int(o.number("memory_mib")), OSType: o["os_type"],
		Firmware: o["firmware"], HardwareVersion: int(o.number("hardware_version")), Controller: o["controller"],
	}
}

func makeOVA(o Options, e transfer.Engine) Made {
	enc := ova.Encoder{
		Options: machineOf(o),
		Disk: func(e transfer.Engine) formats.Encoder {
			return vmdk.Stream{CompressionLevel: int(o.number("compression_level")), Engine: e}
		},
		Engine: e,
	}
	return Made{
		Encoder: enc, Codec: enc.Codec(), Open: openOVA, OpenAll: openAllOVA,
		Several: func(more []formats.Disk, digests []*content.Hasher) formats.Encoder {
			several := enc
			several.More, several.MoreDigests = more, digests
			return several
		},
	}
}

// openPackage opens an OVA with the disks in it.
func openPackage(r io.ReaderAt, size int64, lim formats.Limits) (*ova.Package, error) {
	p, err := ova.Open(r, size, lim, func(_ string, r io.ReaderAt, size int64) (formats.Disk, error) {
		return vmdk.Format{}.Open(r, size, lim)
	})
	if err == nil && len(p.Disks) == 0 {
		return nil, errcode.New(errcode.MemberMissing, "the OVA has no disk").
			With(errcode.Evidence{Format: "ova", Structure: "descriptor", Field: "DiskSection"})
	}
	return p, err
}

// openAllOVA opens the disks of an OVA.
func openAllOVA(r io.ReaderAt, size int64, lim formats.Limits) ([]formats.Disk, error) {
	p, err := openPackage(r, size, lim)
	if err != nil {
		return nil, err
	}
	var out []formats.Disk
	for _, d := range p.Disks {
		out = append(out, d.Disk)
	}
	return out, nil
}

// An ovaDisk is the first disk of an OVA, which knows the manifest.
type ovaDisk struct {
	formats.Disk
	pkg *ova.Package
}

var _ formats.SumChecker = ovaDisk{}

// CheckSums holds every member against the manifest.
func (d ovaDisk) CheckSums(ctx context.Context) error {
	_, err := d.pkg.Verify(ctx)
	return err
}

// Validate checks the structure of the disk.
func (d ovaDisk) Validate(ctx context.Context) ([]formats.Finding, error) {
	return d.Disk.(formats.Validator).Validate(ctx)
}

// Close closes all disks.
func (d ovaDisk) Close() error { return d.pkg.Close() }

// openOVA opens the first disk of an OVA.
func openOVA(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	p, err := openPackage(r, size, lim)
	if err != nil {
		return nil, err
	}
	return ovaDisk{p.Disks[0].Disk, p}, nil
}
