package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/gce"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/unwrap"
)

// containerGCE is the container of Compute Engine's disk.raw.
const containerGCE = "gce"

// An insight is what lies in an image's files: one bare disk, or a container with
// several.
type insight struct {
	p        *Pipeline
	set      openedSet
	fetched  contract.Fetched
	declared formats.Name
	// uncounted leaves allocated sizes out of the reports.
	uncounted bool
	soft      []errcode.Code // codes that warn instead of refusing
	outer     detect.Report  // of what is around the disks
	box       *box           // nil for a bare disk
	// bare is the bare disk, for the first that asks for it, with its report.
	bare    formats.Disk
	bareRep detect.Report
}

// A box is an opened container.
type box struct {
	name   string // as contract.Detected has it
	disks  []inner
	verify func(context.Context) (int, error) // nil if nothing can be verified
	props  map[string]string
	// kept says that the container itself is the image: its one disk is all of it.
	kept bool
	// blank is how many disks the machine has that are empty and have no file.
	blank int
}

// An inner is the file of a disk within a box.
type inner struct {
	name  string
	r     io.ReaderAt
	size  int64 // bytes
	boot  bool
	check func(virtual int64) error // what the container says of the size; may be nil
}

// boxed reports whether detection refused a file only because it is a container
// that is opened here. What is a container and something else besides is refused
// for that.
func boxed(rep detect.Report, err error) bool {
	if errcode.Of(err) != errcode.FormatNotAllowed {
		return false
	}
	switch rep.DiskFormat {
	case unwrap.ContainerTar, unwrap.ContainerOVA, unwrap.ContainerZip, unwrap.ContainerDocker:
		return true
	}
	return false
}

// lookInto finds out whether the image's files are a container. Without an error, a
// disk is to be opened next. The report says what is wrong, if there is an error.
func (p *Pipeline) lookInto(ctx context.Context, set openedSet, f contract.Fetched, declared string) (*insight, detect.Report, error) {
	in := &insight{p: p, set: set, fetched: f, declared: formats.Name(declared)}
	rep, err := in.look(ctx)
	return in, rep, err
}

// look is lookInto for an insight that has looked nowhere yet.
func (in *insight) look(ctx context.Context) (detect.Report, error) {
	p, set, f := in.p, in.set, in.fetched
	rep, disk, err := in.detect(ctx, set[0].ReaderAt, set[0].size, set.members())
	switch {
	case err == nil:
		in.bare, in.bareRep = disk, in.layered(rep)
		return in.bareRep, nil
	case len(set) > 1 || !boxed(rep, err):
		return in.layered(rep), err
	}
	in.outer = asContainer(rep)
	if in.box, err = p.openBox(set[0], f.Layer); err != nil {
		return refused(in.layered(in.outer), "container", err), err
	}
	in.outer.ContainerFormat = in.box.name
	if in.box.kept {
		in.outer = in.layered(in.keeps())
		return in.outer, nil
	}
	var names []string
	for _, d := range in.box.disks {
		names = append(names, fmt.Sprintf("%q (%d bytes)", d.name, d.size))
	}
	in.outer.Checks = append(in.outer.Checks, detect.Check{Name: "container", Result: detect.Pass, Detail: in.box.name + " of " + strings.Join(names, ", ")})
	if n := in.box.blank; n > 0 {
		in.outer.Findings = append(in.outer.Findings, blankDisks(n))
	}
	in.outer = in.layered(in.outer)
	return in.outer, nil
}

// blankDisks says that a machine has disks of which there is nothing to import.
func blankDisks(n int) formats.Finding {
	f := formats.Note(errcode.Contents, formats.SeverityWarning, fmt.Sprintf("the machine has %d empty disks without a file, which are not imported", n),
		errcode.Evidence{Format: unwrap.ContainerOVA, Structure: "DiskSection", Field: "fileRef", Value: fmt.Sprint(n), Limit: "a file of the archive"})
	f.Remedy = "Attach empty volumes of those sizes to the new machine."
	return f
}

// layered notes in a report what was taken off.
func (in *insight) layered(rep detect.Report) detect.Report {
	f := in.fetched
	if f.Layer == "" {
		return rep
	}
	rep.Layers = []string{f.Layer}
	rep.FileSize = f.SourceSize
	layer := detect.Check{Name: "outer layer", Result: detect.Pass, Detail: fmt.Sprintf("%s taken off: %d bytes hold %d", f.Layer, f.SourceSize, f.Size)}
	rep.Checks = append([]detect.Check{layer}, rep.Checks...)
	return rep
}

// asContainer turns the report that refuses a container into that of one which is
// opened.
func asContainer(rep detect.Report) detect.Report {
	rep.Findings = rep.Findings[:len(rep.Findings)-1]
	last := &rep.Checks[len(rep.Checks)-1]
	*last = detect.Check{Name: last.Name, Result: detect.Pass, Detail: string(rep.DiskFormat) + ": the disks in it are what is judged"}
	return rep
}

// refused notes in a report the check that refuses.
func refused(rep detect.Report, name string, err error) detect.Report {
	f := formats.FindingOf(err)
	rep.Safe, rep.Findings = false, append(rep.Findings, f)
	rep.Checks = append(rep.Checks, detect.Check{Name: name, Result: detect.Fail, Detail: f.Message, Code: f.Code, Remedy: f.Remedy, Evidence: f.Evidence})
	return rep
}

// openBox opens a container. layer is what was taken off around it.
func (p *Pipeline) openBox(file *opened, layer string) (*box, error) {
	r, size := file.ReaderAt, file.size
	if layer == string(unwrap.Gzip) {
		head := make([]byte, min(size, 512))
		if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
			return nil, err
		}
		if unwrap.IsGCE(head) {
			return p.gceBox(r, size)
		}
	}
	c, err := unwrap.OpenArchive(r, size, p.unwrapLimits())
	if err != nil {
		return nil, err
	}
	if c.Docker != nil {
		return dockerBox(c.Docker, r), nil
	}
	b := &box{name: c.Container, props: c.Properties}
	for i, d := range c.Disks {
		s, ok := d.Section()
		if !ok {
			return nil, errcode.New(errcode.FormatNotAllowed, "what is in the %s is compressed within %s: unpack it first", c.Container, layer)
		}
		base, off, n := s.Outer()
		one := inner{name: d.Name, r: newSection(base, off, n), size: n, boot: d.Boot}
		if c.OVA != nil {
			one.check = c.OVA.Disks[i].CheckCapacity
		}
		b.disks = append(b.disks, one)
	}
	if c.OVA != nil {
		b.verify, b.blank = c.OVA.Verify, c.OVA.Blank
	}
	if len(b.disks) == 0 || len(b.disks) > contract.MaxDisks {
		return nil, errcode.New(errcode.FormatNotAllowed, "the %s holds %d disks, and 1 to %d are taken", c.Container, len(b.disks), contract.MaxDisks)
	}
	return b, nil
}

// gceBox opens what a tar.gz of Compute Engine held.
func (p *Pipeline) gceBox(r io.ReaderAt, size int64) (*box, error) {
	d, err := gce.OpenTar(r, size, p.Limits)
	if err != nil {
		return nil, err
	}
	return &box{name: containerGCE, disks: []inner{{name: "disk.raw", r: d, size: d.Size(), boot: true}}}, nil
}

// detect recognises one file.
func (in *insight) detect(ctx context.Context, r io.ReaderAt, size int64, members []formats.Member) (detect.Report, formats.Disk, error) {
	return in.p.detect().Detect(ctx, r, size, detect.Options{Declared: in.declared, Limits: in.p.Limits, Members: members, Uncounted: in.uncounted})
}

// open opens the n-th disk, from 1; 0 means the first one. The report is that of
// the disk and of what is around it.
func (in *insight) open(ctx context.Context, n int) (formats.Disk, detect.Report, error) {
	bare := in.bare
	in.bare = nil
	if n = max(n, 1); n > in.count() {
		err := errcode.New(errcode.BadRequest, "there is no disk %d in the source, which holds %d", n, in.count()).
			With(errcode.Evidence{Structure: "request", Field: "disk", Value: fmt.Sprint(n), Limit: fmt.Sprint(in.count())})
		if bare != nil {
			return nil, in.bareRep, errors.Join(err, bare.Close())
		}
		return nil, in.outer, err
	}
	if bare != nil {
		return bare, in.bareRep, nil
	}
	if in.box == nil {
		rep, disk, err := in.detect(ctx, in.set[0].ReaderAt, in.set[0].size, in.set.members())
		return disk, in.layered(rep), err
	}
	if in.box.kept {
		return in.openKept()
	}
	d := in.box.disks[n-1]
	rep, disk, err := in.detect(ctx, d.r, d.size, nil)
	rep.Name = d.name
	if err == nil && d.check != nil {
		if err = d.check(rep.VirtualSize); in.softens(err) {
			rep.Findings, err = append(rep.Findings, softened(err)), nil
		}
		if err != nil {
			rep = refused(rep, "capacity", err)
			disk.Close()
		}
	}
	if err != nil {
		return nil, in.around(rep), in.named(n, err)
	}
	return disk, in.around(rep), nil
}

// softens reports whether an error is of a code that only warns.
func (in *insight) softens(err error) bool {
	return err != nil && slices.Contains(in.soft, errcode.Of(err))
}

// softened is the finding of an error that only warns.
func softened(err error) formats.Finding {
	f := formats.FindingOf(err)
	f.Severity = formats.SeverityWarning
	return f
}

// count is how many disks there are.
func (in *insight) count() int {
	if in.box == nil {
		return 1
	}
	return len(in.box.disks)
}

// checkAll checks the whole structure of every disk, and what is around them.
func (in *insight) checkAll(ctx context.Context) ([]formats.Finding, error) {
	var all []formats.Finding
	for n := 1; n <= in.count(); n++ {
		disk, _, err := in.open(ctx, n)
		if err != nil {
			return all, err
		}
		findings, err := CheckDisk(ctx, disk)
		all = append(all, findings...)
		if err = errors.Join(err, disk.Close()); err != nil {
			return all, in.named(n, err)
		}
	}
	return all, in.verify(ctx)
}

// named says of which of several disks an error is.
func (in *insight) named(n int, err error) error {
	e, ok := errcode.As(err)
	if !ok || in.count() == 1 {
		return err
	}
	out := errcode.Wrap(err, e.Code, "disk %d: %s", n, e.Message)
	if e.Evidence != nil {
		out = out.With(*e.Evidence)
	}
	return out
}

// around puts the report of what is around a disk to that of the disk.
func (in *insight) around(rep detect.Report) detect.Report {
	rep.ContainerFormat, rep.FileSize, rep.Layers = in.outer.ContainerFormat, in.outer.FileSize, in.outer.Layers
	rep.Checks = append(append([]detect.Check{}, in.outer.Checks...), rep.Checks...)
	rep.Findings = append(append([]formats.Finding{}, in.outer.Findings...), rep.Findings...)
	return rep
}

// openAll opens every disk, and closes it again. The report is that of the first,
// with those of all if there are several; of one that is refused, that alone.
func (in *insight) openAll(ctx context.Context) (detect.Report, error) {
	n := in.count()
	var all []detect.Report
	for i := range n {
		disk, rep, err := in.open(ctx, i+1)
		if err != nil {
			return rep, err
		}
		if err := disk.Close(); err != nil {
			return rep, err
		}
		all = append(all, rep)
	}
	out := all[0]
	if in.box != nil {
		for i := range all {
			// What is around them is said once.
			all[i].Checks = all[i].Checks[len(in.outer.Checks):]
			all[i].Findings = all[i].Findings[len(in.outer.Findings):]
			all[i].FileSize, all[i].ContainerFormat, all[i].Layers = in.box.disks[i].size, "bare", nil
			if i > 0 {
				out.Findings = append(out.Findings, all[i].Findings...)
			}
		}
		if n > 1 {
			out.Disks, out.Checks = all, in.outer.Checks
		}
	}
	return out, nil
}

// detected is what travels of openAll's report.
func (in *insight) detected(rep detect.Report) contract.Detected {
	out := contract.Detected{Format: string(sourceName(rep)), Subformat: rep.Subformat, VirtualSize: rep.VirtualSize, AllocatedSize: rep.AllocatedSize}
	if in.box == nil {
		return out
	}
	out.Container = in.box.name
	reports := rep.Disks
	if len(reports) == 0 {
		reports = []detect.Report{rep}
	}
	for i, r := range reports {
		d := in.box.disks[i]
		out.Disks = append(out.Disks, contract.DetectedDisk{
			Name: d.name, Format: string(in.formatOf(r)), Subformat: r.Subformat, VirtualSize: r.VirtualSize, AllocatedSize: r.AllocatedSize,
			Boot: d.boot, Properties: in.box.properties(i),
		})
	}
	return out
}

// properties are those of the image of the i-th disk: the machine's, and of several
// disks whether it is the one that the machine boots from, as Nova numbers them.
func (b *box) properties(i int) map[string]string {
	out := map[string]string{}
	for k, v := range b.props {
		out[k] = v
	}
	if len(b.disks) > 1 {
		out["boot_index"] = "-1"
		if b.disks[i].boot {
			out["boot_index"] = "0"
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// verify compares the container's files with the digests that it gives.
func (in *insight) verify(ctx context.Context) error {
	if in.box == nil || in.box.verify == nil {
		return nil
	}
	_, err := in.box.verify(ctx)
	return err
}
