package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/unwrap"
)

// An OpenDisk is a disk and the sources that it lies in.
type OpenDisk struct {
	formats.Disk
	files openedSet
}

// Close closes the disk and its sources.
func (d *OpenDisk) Close() error { return errors.Join(d.Disk.Close(), d.files.Close()) }

// Unchanged returns errcode.SourceChanged if a source has changed since it was
// opened.
func (d *OpenDisk) Unchanged(ctx context.Context) error { return d.files.check(ctx) }

// OpenURL opens the disk in a source where it lies, without importing it. The
// members are the image's other files, if it has any. The report is whole even
// when the error refuses the image.
func (p *Pipeline) OpenURL(ctx context.Context, url, declared string, members ...Member) (*OpenDisk, detect.Report, error) {
	return p.OpenNth(ctx, url, declared, 0, members...)
}

// OpenNth is OpenURL for the n-th disk of a source that holds several, from 1; 0 is
// the only one.
func (p *Pipeline) OpenNth(ctx context.Context, url, declared string, disk int, members ...Member) (*OpenDisk, detect.Report, error) {
	in, rep, err := p.openLocal(ctx, url, declared, members, nil)
	if err != nil {
		return nil, rep, err
	}
	if n := in.count(); n > 1 && disk == 0 {
		err = errcode.New(errcode.BadRequest, "the source holds %d disks: say which one", n).
			With(errcode.Evidence{Structure: "request", Field: "disk", Limit: fmt.Sprintf("1 to %d", n)})
		return nil, rep, errors.Join(err, in.set.Close())
	}
	d, rep, err := in.open(ctx, disk)
	if err != nil {
		return nil, rep, errors.Join(err, in.set.Close())
	}
	return &OpenDisk{Disk: d, files: in.set}, rep, nil
}

// openDisks is OpenURL for all disks of a source, or for the n-th alone. The first
// one keeps the files that all of them lie in. prove is as openLocal's.
func (p *Pipeline) openDisks(ctx context.Context, url, declared string, n int, members []Member, prove proving) ([]*OpenDisk, []detect.Report, error) {
	in, rep, err := p.openLocal(ctx, url, declared, members, prove)
	if err != nil {
		return nil, []detect.Report{rep}, err
	}
	if err := in.verify(ctx); err != nil {
		return nil, []detect.Report{refused(rep, "manifest", err)}, errors.Join(err, in.set.Close())
	}
	files := in.set
	from, to := 1, in.count()
	if n > 0 {
		from, to = n, n
	}
	var disks []*OpenDisk
	var reps []detect.Report
	for i := from; i <= to; i++ {
		d, rep, err := in.open(ctx, i)
		reps = append(reps, rep)
		if err != nil {
			closeDisks(disks)
			return nil, reps, errors.Join(err, files.Close())
		}
		disks = append(disks, &OpenDisk{Disk: d, files: files})
		files = nil
	}
	return disks, reps, nil
}

// openLocal opens the files of an image where they lie, a layer taken off. What it
// returns without an error is to be closed by its set. prove, if not nil, judges the
// files before anything is made of them.
func (p *Pipeline) openLocal(ctx context.Context, url, declared string, members []Member, prove proving) (*insight, detect.Report, error) {
	f, err := p.findAll(ctx, url, members)
	if err != nil {
		return nil, detect.Report{FileSize: f.Size}, err
	}
	set, err := p.openSet(ctx, "", f)
	if err != nil {
		return nil, detect.Report{}, err
	}
	if prove != nil {
		if err := prove(set, f); err != nil {
			return nil, detect.Report{FileSize: f.Size}, errors.Join(err, set.Close())
		}
	}
	declared = f.About.Declared(declared)
	if layered(declared, len(members)) {
		if err := p.unpackTemp(ctx, set[0], &f); err != nil {
			rep := detect.Report{FileSize: set[0].size, ContainerFormat: "compressed", DiskFormat: formats.Name(f.Layer), AllocatedSize: -1}
			return nil, refused(rep, "outer layer", err), errors.Join(err, set.Close())
		}
	}
	in, rep, err := p.lookInto(ctx, set, f, declared)
	if err != nil {
		return nil, rep, errors.Join(err, set.Close())
	}
	return in, rep, nil
}

// unpackTemp puts what is within a file's layer into a temporary file in its place.
func (p *Pipeline) unpackTemp(ctx context.Context, file *opened, f *contract.Fetched) error {
	lim := p.unwrapLimits()
	layer, err := readLayer(file.ReaderAt, file.size)
	if f.Layer = string(layer); err != nil || layer == "" {
		return err
	}
	in, err := localInput(file, layer, lim)
	if err != nil {
		return err
	}
	tmp, err := tempFile(file.size)
	if err != nil {
		return err
	}
	w := &unwrapper{f: tmp, in: in, max: p.MaxSourceBytes, o: ignore}
	size, err := w.copy(ctx)
	if err != nil {
		return errors.Join(tempError(err), tmp.Close())
	}
	f.SourceSize, f.Size = file.size, size
	file.ReaderAt, file.size, file.closer = sparseFile{tmp, size}, size, closers{tmp, file.closer}
	return nil
}

// localInput opens what is within a file's layer.
func localInput(file *opened, layer unwrap.Layer, lim unwrap.Limits) (*layerInput, error) {
	in := &layerInput{want: file.size, size: file.size, n: file.size, taken: func() int64 { return 0 }}
	var err error
	if layer != unwrap.Zip {
		in.z, err = unwrap.Open(io.NewSectionReader(file.ReaderAt, 0, file.size), layer, lim)
		return in, err
	}
	m, err := zipMember(file.ReaderAt, file.size, lim)
	if err == nil {
		in.z, err = m.Open(lim)
	}
	return in, err
}

// closers closes all.
type closers []io.Closer

// Close closes all.
func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// Inspect says what a source is and checks the whole structure of all its disks. The
// report holds the findings of both; the error is the one that refuses the image.
func (p *Pipeline) Inspect(ctx context.Context, url, declared string, members ...Member) (detect.Report, error) {
	in, rep, err := p.openLocal(ctx, url, declared, members, nil)
	if err != nil {
		return rep, err
	}
	defer in.set.Close()
	if rep, err = in.openAll(ctx); err != nil {
		return rep, err
	}
	check := detect.Check{Name: "structure", Result: detect.Pass, Detail: "every table read: bounds, overlaps, truncation, nested containers"}
	findings, err := in.checkAll(ctx)
	if err == nil {
		err = in.set.check(ctx)
	}
	rep.Findings = merge(rep.Findings, findings)
	if err != nil {
		f := formats.FindingOf(err)
		rep.Findings, rep.Safe = append(rep.Findings, f), false
		check.Result, check.Detail = detect.Fail, f.Message
		check.Code, check.Remedy, check.Evidence = f.Code, f.Remedy, f.Evidence
	}
	rep.Checks = append(rep.Checks, check)
	return rep, err
}

// merge appends the findings that are not there yet.
func merge(have, more []formats.Finding) []formats.Finding {
	for _, f := range more {
		known := false
		for _, h := range have {
			known = known || (h.Code == f.Code && h.Message == f.Message)
		}
		if !known {
			have = append(have, f)
		}
	}
	return have
}
