package pipeline

import (
	"context"
	"io"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// asIsFormat stands for the format of what is stored as it is, whatever that is.
const asIsFormat = "as is"

// asIsLayers are the containers that a source may be which is kept as it is.
func asIsLayers() []formats.Name { return []formats.Name{"tar", "ova"} }

// asIs makes sure that a file can be kept as it is, and expects the best digest that its
// image service keeps: also MD5, since it is the service's word that is repeated here, and
// some have no other.
func (pt *part) asIs() error {
	if err := pt.about.Cloned(); err != nil {
		return err
	}
	if err := keptAsItIs(contract.Upload{Container: pt.about.ContainerFormat}); err != nil {
		return err
	}
	return pt.expectCatalogue(true)
}

// declaredOf is the format that a source is declared to be of. What is kept as it is must
// be what its image service says, be that a format which is not known here; the disks of
// an OVA are judged by themselves.
func declaredOf(d contract.DetectParams) string {
	about := d.Fetched.About
	if !d.AsIs || about == nil || about.ContainerFormat == "ova" {
		return about.Declared(d.Format)
	}
	return about.DiskFormat
}

// asSaid refuses a container that is said to be a disk, and a disk that is said to be an
// OVA.
func (in *insight) asSaid(rep detect.Report, container string) error {
	if in.box != nil && container != "ova" {
		return errcode.New(errcode.FormatMismatch, "the bytes are a container, %s, and not the disk that they are said to be", rep.ContainerFormat).
			With(errcode.Evidence{Structure: "image", Field: "container_format", Value: string(rep.ContainerFormat), Limit: container})
	}
	if in.box == nil && container == "ova" {
		return errcode.New(errcode.FormatMismatch, "the bytes are no OVA").
			With(errcode.Evidence{Structure: "image", Field: "container_format", Value: string(rep.DiskFormat), Limit: "ova"})
	}
	return nil
}

// target is what is made of a source of the format. What stays as it is is written as a
// raw disk of its bytes, and called what its image service calls it.
func (p *Pipeline) target(source formats.Name, about *contract.About, t contract.TargetSpec) (contract.TargetSpec, error) {
	if !t.AsIs {
		return p.Target(source, t)
	}
	if err := about.Cloned(); err != nil {
		return t, err
	}
	out, err := CheckTarget(contract.TargetSpec{Format: string(formats.Raw), Store: t.Store})
	out.AsIs, out.DiskFormat, out.ContainerFormat = true, about.DiskFormat, about.ContainerFormat
	return out, err
}

// openSource opens the disk that is converted: that in the image's files, or the bytes of
// the one file.
func (p *Pipeline) openSource(ctx context.Context, c contract.ConvertParams, wrap func(io.ReaderAt) io.ReaderAt) (formats.Disk, openedSet, error) {
	if !c.Target.AsIs {
		disk, set, _, err := p.openDisk(ctx, c.TaskID, c.Fetched, c.Detected.Disk(c.Disk).Format, c.Disk, c.Soft, wrap)
		return disk, set, err
	}
	set, err := p.openSet(ctx, c.TaskID, c.Fetched)
	if err != nil {
		return nil, nil, err
	}
	set[0].ReaderAt = wrap(set[0].ReaderAt)
	return raw.New(set[0].ReaderAt, set[0].size), set, nil
}

// asFetched returns errcode.VerifyMismatch if the stored digest is not the one that the
// source's bytes had, which are kept as they are. Of another algorithm nothing is known.
func asFetched(c contract.ChecksumParams, got contract.Checksummed) error {
	if want := c.Digest; want != "" && len(want) > len(got.HashAlgo) && want[:len(got.HashAlgo)+1] == got.HashAlgo+":" && want != got.HashAlgo+":"+got.HashValue {
		return errcode.New(errcode.VerifyMismatch, "the stored bytes do not have the digest that the source's had").
			With(errcode.Evidence{Structure: "sealed upload", Field: got.HashAlgo, Value: got.HashAlgo + ":" + got.HashValue, Limit: want})
	}
	return nil
}

// Plain reports whether the bytes of a file of the format are what a guest sees.
func Plain(format string) bool { return verbatim(formats.Name(format)) }
