package pipeline

import (
	"context"
	"encoding/json"
	"maps"

	"ingest/detect"
	"ingest/formats"
	"ingest/guest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// newDisk returns what is known of a detected disk.
func (f *forecaster) newDisk(d contract.DetectedDisk) contract.ForecastDisk {
	return contract.ForecastDisk{Name: d.Name, Format: d.Format, Subformat: d.Subformat, VirtualSize: d.VirtualSize,
		AllocatedSize: contract.Unknown, Properties: f.given(d),
		Stored: contract.ForecastSize{Bytes: contract.Unknown, Least: contract.Unknown, Basis: "unknown"}}
}

// given are the properties of a disk that are known before anybody looks into it: those
// of the source's own catalogue, and those of its container.
func (f *forecaster) given(d contract.DetectedDisk) map[string]string {
	if f.out.About == nil {
		return maps.Clone(d.Properties)
	}
	return contract.MergeProperties(nil, f.out.About.Properties, d.Properties)
}

// target fixes the target and the level of verification of a disk, as Validate does.
func (f *forecaster) target(d contract.DetectedDisk) (contract.TargetSpec, string, error) {
	t, err := f.p.Target(formats.Name(d.Format), f.req.Target)
	if err == nil && d.VirtualSize >= 0 {
		err = f.p.fits(t, d.VirtualSize)
	}
	if err == nil && len(f.p.Stores) > 0 {
		_, err = f.p.store(t.Store)
	}
	if err != nil {
		return t, "", err
	}
	level, err := f.p.verifyPolicy().Resolve(f.req.Verify)
	return t, level, err
}

// disk looks at the n-th disk. What is found out is noted even if it is refused.
func (f *forecaster) disk(ctx context.Context, in *insight, n int) error {
	disk, _, err := in.open(ctx, n)
	if err != nil {
		if f.tired(err, "the disk") {
			return nil
		}
		return err
	}
	defer disk.Close()
	out := f.newDisk(f.out.Detected.Disk(n))
	defer func() { f.out.Disks = append(f.out.Disks, out) }()
	if err := f.allocated(ctx, disk, &out, n); err != nil {
		return in.named(n, err)
	}
	f.b.phase(75)
	if _, err := CheckDisk(ctx, disk); err != nil && !f.tired(err, "structure") {
		return in.named(n, err)
	}
	if out.Target, out.Verify, err = f.target(f.out.Detected.Disk(n)); err != nil {
		return in.named(n, err)
	}
	f.stored(ctx, disk, &out)
	f.inside(ctx, disk, &out)
	return ctx.Err()
}

// allocated counts the disk's data.
func (f *forecaster) allocated(ctx context.Context, disk formats.Disk, out *contract.ForecastDisk, n int) error {
	if !disk.Info().HolesKnown {
		return nil
	}
	f.b.phase(60)
	size, err := detect.Allocated(ctx, disk)
	switch {
	case f.tired(err, "allocated size"):
		return nil
	case err != nil:
		return err
	}
	out.AllocatedSize = size
	if d := f.out.Detected; n <= 1 {
		d.AllocatedSize = size
	}
	if d := f.out.Detected; n <= len(d.Disks) {
		d.Disks[n-1].AllocatedSize = size
	}
	return nil
}

// inside looks into the disk. What is found there refuses nothing.
func (f *forecaster) inside(ctx context.Context, disk formats.Disk, out *contract.ForecastDisk) {
	if !holdsGuest(*f.out.Detected, contract.DetectedDisk{Format: out.Format}) {
		return
	}
	out.MinDisk = contract.MinDisk(disk.Size())
	if f.p.Guest == nil {
		f.unknown("what is inside: the server does not look into disks")
		return
	}
	f.b.phase(100)
	within, stop := context.WithDeadline(ctx, f.b.until)
	defer stop()
	facts, err := guest.Inspect(within, disk, disk.Size(), f.p.Guest.Lister)
	if err != nil {
		if within.Err() != nil {
			f.unknown("what is inside: looking takes longer than a dry run")
		} else if !f.tired(err, "what is inside") {
			f.unknown("what is inside: %s", errcode.Lookup(errcode.Of(err)).Meaning)
		}
		return
	}
	if more := contract.MergeProperties(out.Properties, facts.Properties); out.Properties == nil {
		out.Properties = more
	} else {
		maps.Copy(out.Properties, more)
	}
	out.Summary = facts.Summary()
	for i := range facts.Volumes {
		facts.Volumes[i].Listing = nil // long, and of no use to who decides
	}
	raw, err := json.Marshal(facts)
	if err != nil || len(raw) > maxForecastGuest {
		f.unknown("what is inside: it is longer than %d bytes; ingest inspect prints it", maxForecastGuest)
		return
	}
	out.Guest = raw
}
