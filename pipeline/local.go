package pipeline

import (
	"context"
	"errors"

	"ingest/detect"
	"ingest/formats"
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
	f, err := p.findAll(ctx, url, members)
	if err != nil {
		return nil, detect.Report{FileSize: f.Size}, err
	}
	disk, files, rep, err := p.openDisk(ctx, "", f, declared, nil)
	if err != nil {
		return nil, rep, err
	}
	return &OpenDisk{Disk: disk, files: files}, rep, nil
}

// Inspect says what a source is and checks its whole structure. The report
// holds the findings of both; the error is the one that refuses the image.
func (p *Pipeline) Inspect(ctx context.Context, url, declared string, members ...Member) (detect.Report, error) {
	disk, rep, err := p.OpenURL(ctx, url, declared, members...)
	if err != nil {
		return rep, err
	}
	defer disk.Close()
	check := detect.Check{Name: "structure", Result: detect.Pass, Detail: "every table read: bounds, overlaps, truncation, nested containers"}
	findings, err := CheckDisk(ctx, disk.Disk)
	if err == nil {
		err = disk.Unchanged(ctx)
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
