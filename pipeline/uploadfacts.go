package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"ingest/detect"
	"ingest/formats"
	"ingest/guest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// looksAtOnce bounds how many uploads are looked into at once: each look is a process of
// its own beside the requests that this one answers.
const looksAtOnce = 2

// Bounds of what is read of an upload's disk for its content digest: much more than it has
// bytes, as a disk that compresses well does, and not what a crafted one unfolds to.
const (
	digestRatio = 64
	digestLeast = 1 << 30
)

// errTooMuch is the cause of the end of a digest that would take too long.
var errTooMuch = errors.New("the disk holds much more than its file")

// uploadValidation is what of an upload's checks is kept, in the words of an import's.
type uploadValidation struct {
	Target   contract.TargetSpec `json:"target"`
	Findings []formats.Finding   `json:"findings"`
	Guest    *Inside             `json:"guest,omitempty"`
}

// describe finds out about an upload's one disk what an import would: the digest of its
// content and what is inside. Both read the sealed bytes once more; that they can be read
// is also a proof that the image is whole behind its tables.
func (p *Pipeline) describe(ctx context.Context, disk formats.Disk, rep detect.Report, found []formats.Finding, out *contract.Uploaded) error {
	if !holdsGuest(out.Detected, contract.DetectedDisk{Format: out.Detected.Format}) {
		return nil
	}
	var err error
	if out.ContentDigest, err = p.boundedDigest(ctx, disk, out.Size); err != nil {
		return err
	}
	inside, err := p.insideOf(ctx, disk)
	if err != nil {
		return err
	}
	out.Guest = inside.Contract()
	kept := uploadValidation{Target: contract.TargetSpec{Format: string(rep.DiskFormat), Store: out.Store}, Findings: found, Guest: &inside}
	for _, r := range []struct {
		stage  contract.Stage
		report any
	}{{contract.StageDetect, rep}, {contract.StageValidate, kept}} {
		raw, err := json.Marshal(r.report)
		if err != nil {
			return errcode.Wrap(err, errcode.Internal, "write what was found of an upload")
		}
		out.Reports = append(out.Reports, contract.UploadReport{Stage: string(r.stage), Detail: raw})
	}
	return nil
}

// boundedDigest is the disk's content digest, "" for a disk that unfolds to too much to be
// read within a request.
func (p *Pipeline) boundedDigest(ctx context.Context, disk formats.Disk, size int64) (string, error) {
	within, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var read atomic.Int64
	most := addSizes(size, digestLeast)
	if size < (1<<62)/digestRatio {
		most = max(most, size*digestRatio)
	}
	digest, _, err := p.Digest(within, countedDisk{disk, func(n int) {
		if read.Add(int64(n)) > most {
			stop(errTooMuch)
		}
	}}, false, nil)
	if err != nil && context.Cause(within) == errTooMuch {
		return "", nil
	}
	return digest, err
}

// countedDisk tells what is read of a disk.
type countedDisk struct {
	formats.Disk
	read func(n int)
}

// ReadAt reads from the disk.
func (d countedDisk) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	d.read(n)
	return n, err
}

// insideOf is LookInside for a disk that is open. Only the end of the context is an error.
func (p *Pipeline) insideOf(ctx context.Context, disk formats.Disk) (Inside, error) {
	out := Inside{MinDisk: contract.MinDisk(disk.Size())}
	if p.Guest == nil {
		out.NotInspected = "the server does not look into disks"
		return out, nil
	}
	select {
	case p.insideRoom() <- struct{}{}:
		defer func() { <-p.insideRoom() }()
	case <-ctx.Done():
		return out, context.Cause(ctx)
	}
	longest := p.Guest.Longest
	if longest == 0 {
		longest = DefaultGuestLongest
	}
	within, cancel := context.WithTimeoutCause(ctx, longest, errInsideSlow)
	defer cancel()
	var seen atomic.Int64
	facts, err := guest.Inspect(within, ended{within, watch(disk, func(n int) { seen.Add(int64(n)) })}, disk.Size(), p.Guest.Lister)
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	out.Read.Guest = seen.Load()
	out.Facts, out.Summary = &facts, facts.Summary()
	if err = slow(within, err); err != nil {
		out.NotInspected = unseen(err)
	}
	return out.fit(), nil
}

// insideRoom has room for those who look into an upload at the same time.
func (p *Pipeline) insideRoom() chan struct{} {
	p.looksOnce.Do(func() { p.looks = make(chan struct{}, looksAtOnce) })
	return p.looks
}
