package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/writers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// A Conversion says what ConvertTo made.
type Conversion struct {
	Source        detect.Report       `json:"source"`
	Target        contract.TargetSpec `json:"target"`
	FileSize      int64               `json:"file_size"`    // bytes
	VirtualSize   int64               `json:"virtual_size"` // of the first disk, bytes
	ContentDigest string              `json:"content_digest"`
	Further       []FurtherDisk       `json:"further_disks,omitempty"`
	Verified      bool                `json:"verified"`
	HashAlgo      string              `json:"hash_algo,omitempty"` // of the file, if it was read back
	HashValue     string              `json:"hash_value,omitempty"`
	// Proofs are those that the source's files were held against.
	Proofs []contract.Verification `json:"proofs,omitempty"`
}

// A FurtherDisk is a disk behind the first one of a container.
type FurtherDisk struct {
	Source        detect.Report `json:"source"`
	ContentDigest string        `json:"content_digest"`
}

// A ConvertRequest says what ConvertTo shall do.
type ConvertRequest struct {
	URLs    []string // the source; several only for a target that takes several disks
	Format  string   // declared, "" for detect
	Members []Member // the other files of the first source
	Disk    int      // the disk of each source, from 1; 0 means all
	Proofs  Proofs   // of the one source, before anything else is made of it
	Target  contract.TargetSpec
	Verify  bool // read the result back
	// Begin begins the upload. It is called once the sources are found good.
	Begin func() (stores.Upload, error)
}

// ConvertTo converts the disks in the sources into an upload, seals and commits
// it. stage is told what begins: "prove", "check", "convert", "verify".
func (p *Pipeline) ConvertTo(ctx context.Context, c ConvertRequest, stage func(string), o Observe) (Conversion, error) {
	if o == nil {
		o = ignore
	}
	var out Conversion
	// What is wrong with the target is said before anything is read.
	if c.Target.Format != "" {
		t, err := CheckTarget(withFormat(c.Target, strings.ToLower(c.Target.Format)))
		if err == nil {
			err = takesDisks(t, len(c.URLs))
		}
		if err != nil {
			return out, err
		}
	}
	if c.Proofs != (Proofs{}) && len(c.URLs) > 1 {
		return out, errcode.New(errcode.BadRequest, "digests and signatures are of one source, and %d are given", len(c.URLs)).
			With(errcode.Evidence{Structure: "request", Field: "sources"})
	}
	disks, err := p.openAll(ctx, c, &out, stage, o)
	defer func() { closeDisks(disks) }()
	if err != nil {
		return out, err
	}
	if out.Target, err = p.Target(sourceName(out.Source), c.Target); err != nil {
		return out, err
	}
	if err := takesDisks(out.Target, len(disks)); err != nil {
		return out, err
	}
	if err := p.fits(out.Target, disks[0].Size()); err != nil {
		return out, err
	}
	up, err := c.Begin()
	if err != nil {
		return out, err
	}
	defer up.Close()
	// Aborts whatever was not committed, also after a cancel.
	defer up.Abort(context.WithoutCancel(ctx))
	stage("convert")
	w, err := p.writeAll(ctx, disks, &out, up, c.Verify, o)
	if err != nil {
		return out, err
	}
	out.FileSize, out.VirtualSize, out.ContentDigest = w.Size, w.VirtualSize, w.ContentDigest
	for _, d := range disks {
		if err := d.Unchanged(ctx); err != nil {
			return out, err
		}
	}
	if err := up.Seal(ctx, w.Size); err != nil {
		return out, err
	}
	want := stores.Digest{Size: w.Size}
	if c.Verify {
		stage("verify")
		sums, err := p.readAllBack(ctx, up, w, out, o)
		if err != nil {
			return out, err
		}
		out.Verified, out.HashAlgo, out.HashValue = true, sums.HashAlgo, sums.HashValue
		want.Algo, want.Hex = sums.HashAlgo, sums.HashValue
	}
	return out, up.Commit(ctx, want)
}

// openAll opens and checks every source.
func (p *Pipeline) openAll(ctx context.Context, c ConvertRequest, out *Conversion, stage func(string), o Observe) ([]*OpenDisk, error) {
	var disks []*OpenDisk
	var proof proving
	if c.Proofs != (Proofs{}) {
		stage("prove")
		proof = func(set openedSet, f contract.Fetched) error {
			var err error
			out.Proofs, err = p.prove(ctx, set, f, c.Proofs, o)
			if err == nil {
				stage("check")
			}
			return err
		}
	} else {
		stage("check")
	}
	for i, url := range c.URLs {
		members := c.Members
		if i > 0 {
			members = nil
		}
		found, reps, err := p.openDisks(ctx, url, c.Format, c.Disk, members, proof)
		for _, rep := range reps {
			if out.Source.Checks == nil {
				out.Source = rep
			} else {
				out.Further = append(out.Further, FurtherDisk{Source: rep})
			}
		}
		disks = append(disks, found...)
		for _, d := range found {
			if err == nil {
				_, err = CheckDisk(ctx, d.Disk)
			}
		}
		if err != nil {
			return disks, nth(i, len(c.URLs), err)
		}
	}
	return disks, nil
}

// nth says of which of several disks an error is.
func nth(i, of int, err error) error {
	e, ok := errcode.As(err)
	if !ok || of == 1 {
		return err
	}
	out := errcode.Wrap(err, e.Code, "disk %d: %s", i+1, e.Message)
	if e.Evidence != nil {
		out = out.With(*e.Evidence)
	}
	return out
}

func closeDisks(disks []*OpenDisk) {
	for _, d := range disks {
		d.Close()
	}
}

// takesDisks refuses several disks for a target that takes one.
func takesDisks(t contract.TargetSpec, n int) error {
	if n <= 1 {
		return nil
	}
	var several []string
	for _, w := range writers.All() {
		if w.Several() {
			several = append(several, w.Name)
		}
		if w.Several() && w.Name == t.Format {
			return nil
		}
	}
	return errcode.New(errcode.TargetFormat, "%s holds one disk, and %d are given", t.Format, n).
		With(errcode.Evidence{Structure: "request", Field: "target.format", Value: t.Format, Limit: fmt.Sprint(several)})
}

// writeAll writes the disks.
func (p *Pipeline) writeAll(ctx context.Context, disks []*OpenDisk, out *Conversion, up stores.Upload, verify bool, o Observe) (contract.Converted, error) {
	if len(disks) == 1 {
		return p.writeDisks(ctx, disks[0].Disk, out.Target, up, work{hash: verify}, o)
	}
	s := &furtherDisks{}
	for _, d := range disks[1:] {
		s.disks = append(s.disks, d.Disk)
		s.digests = append(s.digests, content.New(d.Size()))
		s.size += d.Size()
	}
	w, err := p.writeDisks(ctx, disks[0].Disk, out.Target, up, work{more: s}, o)
	if err != nil {
		return w, err
	}
	for i, d := range s.digests {
		if out.Further[i].ContentDigest, err = d.Sum(); err != nil {
			return w, err
		}
	}
	return w, nil
}

// furtherDisks are the disks behind the first one of a container.
type furtherDisks struct {
	disks   []formats.Disk
	digests []*content.Hasher
	size    int64 // of all of them, bytes
}

// readAllBack reads every disk back.
func (p *Pipeline) readAllBack(ctx context.Context, up stores.Upload, w contract.Converted, c Conversion, o Observe) (sums contract.Checksummed, err error) {
	sums, err = p.ReadBack(ctx, up, c.Target, w, contract.VerifyFull, nil, o)
	if err != nil || len(c.Further) == 0 {
		return sums, err
	}
	r, err := up.ReaderAt()
	if err != nil {
		return sums, err
	}
	m, err := writerOf(c.Target, p.engine())
	if err != nil {
		return sums, err
	}
	disks, err := m.OpenAll(r, w.Size, p.Limits)
	if err != nil {
		return sums, readBackError(err)
	}
	defer func() {
		for _, d := range disks {
			err = errors.Join(err, d.Close())
		}
	}()
	if len(disks) != 1+len(c.Further) {
		return sums, errcode.New(errcode.VerifyMismatch, "%d disks were written, and %d are found", 1+len(c.Further), len(disks))
	}
	for i, f := range c.Further {
		if err := p.sameContent(ctx, disks[1+i], f, o); err != nil {
			return sums, nth(1+i, len(disks), err)
		}
	}
	return sums, nil
}

// sameContent compares the content of a disk that was written with its source's.
func (p *Pipeline) sameContent(ctx context.Context, disk formats.Disk, f FurtherDisk, o Observe) error {
	size := f.Source.VirtualSize
	if disk.Size() < size {
		return errcode.New(errcode.VerifyMismatch, "the stored disk has %d bytes, the source %d", disk.Size(), size)
	}
	got, _, err := p.Digest(ctx, Clip(disk, size), false, o)
	if err != nil {
		return readBackError(err)
	}
	if got != f.ContentDigest {
		return errcode.New(errcode.VerifyMismatch, "the content digest read back is not the source's").
			With(errcode.Evidence{Structure: "disk", Field: "content digest", Value: got, Limit: f.ContentDigest})
	}
	return padding(disk, size)
}
