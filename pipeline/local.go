package pipeline

import (
	"context"
	"errors"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/stores"
)

// An OpenDisk is a disk and the sources that it lies in.
type OpenDisk struct {
	formats.Disk
	sources []*opened // the image's and its members'
}

// Close closes the disk and its sources.
func (d *OpenDisk) Close() error { return errors.Join(d.Disk.Close(), closeAll(d.sources)) }

// Unchanged returns errcode.SourceChanged if a source has changed since it was
// opened.
func (d *OpenDisk) Unchanged(ctx context.Context) error {
	for _, s := range d.sources {
		if err := s.check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// OpenURL opens the disk in a source where it lies, without importing it. The
// members are the image's other files, if it has any. The report is whole even
// when the error refuses the image.
func (p *Pipeline) OpenURL(ctx context.Context, url, declared string, members ...Member) (*OpenDisk, detect.Report, error) {
	f, err := p.find(ctx, url)
	if err != nil {
		return nil, detect.Report{FileSize: f.Size}, err
	}
	opening, given, err := p.openMembers(ctx, members)
	if err != nil {
		return nil, detect.Report{}, err
	}
	disk, src, rep, err := p.openDisk(ctx, "", f, declared, nil, given...)
	if err != nil {
		return nil, rep, errors.Join(err, closeAll(opening))
	}
	return &OpenDisk{Disk: disk, sources: append(opening, src)}, rep, nil
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

// A Conversion says what ConvertTo made.
type Conversion struct {
	Source        detect.Report       `json:"source"`
	Target        contract.TargetSpec `json:"target"`
	FileSize      int64               `json:"file_size"`    // bytes
	VirtualSize   int64               `json:"virtual_size"` // bytes
	ContentDigest string              `json:"content_digest"`
	Verified      bool                `json:"verified"`
	HashAlgo      string              `json:"hash_algo,omitempty"` // of the file, if it was read back
	HashValue     string              `json:"hash_value,omitempty"`
}

// ConvertTo converts the disk in a source into an upload, seals and commits it.
// The members are the source's other files. begin is called once the source has
// been found good. stage is told what begins: "check", "convert", "verify".
func (p *Pipeline) ConvertTo(ctx context.Context, url, declared string, members []Member, t contract.TargetSpec, verify bool,
	begin func() (stores.Upload, error), stage func(string), o Observe) (Conversion, error) {
	var out Conversion
	stage("check")
	disk, rep, err := p.OpenURL(ctx, url, declared, members...)
	out.Source = rep
	if err != nil {
		return out, err
	}
	defer disk.Close()
	if _, err := CheckDisk(ctx, disk.Disk); err != nil {
		return out, err
	}
	if out.Target, err = p.Target(rep.DiskFormat, t); err != nil {
		return out, err
	}
	up, err := begin()
	if err != nil {
		return out, err
	}
	defer up.Close()
	// Aborts whatever was not committed, also after a cancel.
	defer up.Abort(context.WithoutCancel(ctx))
	stage("convert")
	w, err := p.Write(ctx, disk.Disk, out.Target, up, o)
	if err != nil {
		return out, err
	}
	out.FileSize, out.VirtualSize, out.ContentDigest = w.Size, w.VirtualSize, w.ContentDigest
	if err := disk.Unchanged(ctx); err != nil {
		return out, err
	}
	if err := up.Seal(ctx, w.Size); err != nil {
		return out, err
	}
	want := stores.Digest{Size: w.Size}
	if verify {
		stage("verify")
		sums, err := p.ReadBack(ctx, up, out.Target, w, nil, o)
		if err != nil {
			return out, err
		}
		out.Verified, out.HashAlgo, out.HashValue = true, sums.HashAlgo, sums.HashValue
		want.Algo, want.Hex = sums.HashAlgo, sums.HashValue
	}
	return out, up.Commit(ctx, want)
}
