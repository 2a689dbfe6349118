package pipeline

import (
	"fmt"
	"io"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/errcode"
	"ingest/unwrap"
	"ingest/unwrap/docker"
)

// dockerBox is the box of a container image, which stays what it is.
func dockerBox(img *docker.Image, r io.ReaderAt) *box {
	return &box{name: unwrap.ContainerDocker, verify: img.Verify, kept: true, disks: []inner{{r: r, size: img.Size, boot: true}}}
}

// sourceName returns the name by which targets are chosen for what a report is
// about: the disk format, but for a container image, which Glance calls raw.
func sourceName(rep detect.Report) formats.Name {
	if rep.ContainerFormat == unwrap.ContainerDocker {
		return detect.Docker
	}
	return rep.DiskFormat
}

// formatOf is sourceName for the report of a disk within the box.
func (in *insight) formatOf(rep detect.Report) formats.Name {
	if in.box.kept {
		return detect.Docker
	}
	return rep.DiskFormat
}

// keeps is the report of a container that is the image itself.
func (in *insight) keeps() detect.Report {
	rep := in.outer
	rep.Checks = append([]detect.Check{}, rep.Checks...)
	rep.Checks[len(rep.Checks)-1].Detail = in.box.name + ": kept as it is"
	rep.Checks = append(rep.Checks, detect.Check{Name: "container", Result: detect.Pass, Detail: fmt.Sprintf("a container image of %d bytes: names, links and manifest are sound", in.box.disks[0].size)})
	rep.DiskFormat, rep.VirtualSize = formats.Raw, in.box.disks[0].size
	return rep
}

// openKept opens the container itself as a disk.
func (in *insight) openKept() (formats.Disk, detect.Report, error) {
	rep, size := in.outer, in.box.disks[0].size
	var err error
	name := "declared format"
	switch formats.Name(strings.ToLower(strings.TrimSpace(string(in.declared)))) {
	case "", formats.Raw, detect.Docker:
	default:
		err = errcode.New(errcode.FormatMismatch, "the file is declared as %q but is a container image", string(in.declared)).
			With(errcode.Evidence{Format: unwrap.ContainerDocker, Structure: "magic", Offset: errcode.At(0), Value: unwrap.ContainerDocker, Limit: "declared " + string(in.declared)})
	}
	if limit := in.p.Limits.VirtualSize; err == nil && size > limit {
		name = "virtual size"
		err = errcode.New(errcode.VirtualSizeTooLarge, "the container image has %d bytes, at most %d are allowed", size, limit).
			With(errcode.Evidence{Format: unwrap.ContainerDocker, Field: "size", Value: fmt.Sprint(size), Limit: fmt.Sprint(limit)})
	}
	if err != nil {
		return nil, refused(rep, name, err), err
	}
	rep.Safe = true
	return keptDisk{raw.New(in.box.disks[0].r, size)}, rep, nil
}

// A keptDisk is a container image as a disk of its bytes.
type keptDisk struct{ formats.Disk }

// Info returns the raw disk's, under the container image's name.
func (d keptDisk) Info() formats.Info {
	info := d.Disk.Info()
	info.Format, info.Findings = detect.Docker, nil
	return info
}
