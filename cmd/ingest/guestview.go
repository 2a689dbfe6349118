package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/guest"
	"ingest/guest/filesystem"
	"ingest/guest/partition"
	"ingest/internal/cli"
	"ingest/internal/diskmap"
	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/fs"
)

// An inspection is what `ingest inspect` prints: the report, with what is inside. For
// a source of several disks, Guest is that of the first and Guests are all.
type inspection struct {
	detect.Report
	Guest  *guest.Facts  `json:"guest,omitempty"`
	Guests []guest.Facts `json:"guests,omitempty"`
}

func newInspection(rep detect.Report, facts []guest.Facts) inspection {
	out := inspection{Report: rep}
	if len(facts) > 0 {
		out.Guest = &facts[0]
	}
	if len(facts) > 1 {
		out.Guests = facts
	}
	return out
}

// writeFacts writes what is inside for people.
func writeFacts(w io.Writer, f guest.Facts, source string, width int) error {
	s, b := f.System, f.Boot
	boot := string(b.Mode)
	if boot != "" && !b.Certain {
		boot += ", perhaps"
	}
	cloudInit := ""
	if s.Type == "linux" && s.Distro != "" {
		cloudInit = map[bool]string{true: "installed", false: "not found"}[s.CloudInit]
	}
	layout := layoutOf(f, source)
	if err := layout.WriteText(w, width); err != nil {
		return err
	}
	fmt.Fprintln(w)
	err := cli.Fields(w,
		"system", s.Name,
		"architecture", s.Architecture,
		"kernels", strings.Join(s.Kernels, ", "),
		"virtio drivers", strings.Join(s.Virtio, ", "),
		"cloud-init", cloudInit,
		"boots by", boot,
		"  bios", strings.Join(b.BIOS, "; "),
		"  uefi", strings.Join(b.UEFI, "; "),
		"min_disk", fmt.Sprintf("%d GiB", f.MinDisk),
	)
	if err != nil || len(f.Findings) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nfound inside")
	for _, one := range f.Findings {
		where := ""
		if one.Evidence != nil && one.Code == errcode.Contents && one.Evidence.Structure != "" {
			where = one.Evidence.Structure + ": "
		}
		fmt.Fprintf(w, "  %-8s %s  %s\n", one.Severity, one.Code, cli.Clean(where+one.Message))
		if one.Remedy != "" && one.Severity != formats.SeverityInfo {
			fmt.Fprintf(w, "  %-8s remedy: %s\n", "", one.Remedy)
		}
	}
	return nil
}

// layoutOf turns facts into the picture of the partitions.
func layoutOf(f guest.Facts, source string) diskmap.Layout {
	out := diskmap.Layout{Source: source, Size: f.VirtualSize, Kind: tableKind(f)}
	for _, v := range f.Volumes {
		if v.Partition == 0 {
			out.Parts = append(out.Parts, diskmap.Part{Name: "disk", Len: v.Len, Contents: contentsOf(v), Label: v.Label, Use: useOf(v, partition.Partition{})})
		}
	}
	for _, p := range f.Table.Partitions {
		if p.Extended {
			continue
		}
		part := diskmap.Part{Name: fmt.Sprint(p.Number), Off: p.Off, Len: p.Len, Type: p.TypeName, Label: p.Name, Use: useOf(guest.Volume{}, p)}
		if part.Type == "" {
			part.Type = p.Type
		}
		for _, v := range f.Volumes {
			if v.Partition == p.Number {
				part.Contents, part.Use = contentsOf(v), useOf(v, p)
				if v.Label != "" {
					part.Label = v.Label
				}
			}
		}
		out.Parts = append(out.Parts, part)
	}
	return out
}

// tableKind describes the partition table.
func tableKind(f guest.Facts) string {
	t := f.Table
	var words []string
	switch t.Scheme {
	case partition.GPT:
		words = append(words, "GPT partition table")
	case partition.MBR:
		words = append(words, "MBR partition table")
	default:
		return "no partition table"
	}
	words = append(words, fmt.Sprintf("sectors of %d bytes", t.SectorSize))
	if t.Hybrid {
		words = append(words, "hybrid MBR")
	}
	if t.FromBackup {
		words = append(words, "read from its backup")
	}
	return strings.Join(words, ", ")
}

func contentsOf(v guest.Volume) string {
	if v.Kind == "" && v.Boot != "" {
		return v.Boot
	}
	return v.Kind
}

// useOf says what a partition is for.
func useOf(v guest.Volume, p partition.Partition) diskmap.Use {
	switch p.Type {
	case partition.TypeESP, partition.TypeBIOSBoot, "0xef", "0x41":
		return diskmap.Boot
	}
	switch v.Kind {
	case "":
		return diskmap.Opaque
	case filesystem.Swap, filesystem.LVM2, filesystem.LUKS1, filesystem.LUKS2, filesystem.MD, filesystem.ZFS, filesystem.BitLocker, filesystem.Bcache:
		return diskmap.Other
	}
	return diskmap.Files
}

// writeLayout draws the layout into a file, whole or not at all.
func writeLayout(ctx context.Context, l diskmap.Layout, path string, force bool) error {
	var picture bytes.Buffer
	if err := l.WritePNG(&picture); err != nil {
		return fmt.Errorf("draw the layout: %w", err)
	}
	up, err := fs.BeginFile(path, force)
	if err != nil {
		return err
	}
	defer up.Close()
	// Aborts whatever was not committed, also after a cancel.
	defer up.Abort(context.WithoutCancel(ctx))
	if _, err := up.WriteAt(picture.Bytes(), 0); err != nil {
		return err
	}
	size := int64(picture.Len())
	if err := up.Seal(ctx, size); err != nil {
		return err
	}
	return up.Commit(ctx, stores.Digest{Size: size})
}
