package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"ingest/detect"
	"ingest/formats"
	"ingest/guest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/unwrap"
)

// GuestOptions says how what is inside of disks is found out.
type GuestOptions struct {
	// Lister reads trees of files, in processes of its own; nil reads none.
	Lister guest.Lister
	// Longest is how long a whole inspection may take, with all reads of the
	// source; 0 means DefaultGuestLongest.
	Longest time.Duration
}

// DefaultGuestLongest is twice what listing files may take: the tables and first
// sectors of a disk of many partitions come from as slow a server.
const DefaultGuestLongest = 40 * time.Second

// maxInsideBytes is the largest report of what is inside that is kept, as JSON. An
// honest disk's has a few thousand bytes.
const maxInsideBytes = 256 << 10

// An Inside is the report of what is inside a disk, as it is kept with the task.
type Inside struct {
	Summary string       `json:"summary,omitempty"` // one line, for people
	Facts   *guest.Facts `json:"facts,omitempty"`   // nil if nobody looked
	// NotInspected says why nobody looked, or not to the end; "" if all was seen.
	NotInspected string `json:"not_inspected,omitempty"`
	Read         Reads  `json:"read"`
	// MinDisk is the smallest root disk, GiB; 0 if the image is no disk.
	MinDisk int64 `json:"min_disk,omitempty"`
}

// Reads is what an inspection has read.
type Reads struct {
	Guest  int64 `json:"guest_bytes"`  // of the disk
	Source int64 `json:"source_bytes"` // of the image's files, for it
}

// Contract returns what travels of a report, nil for what is no disk.
func (i Inside) Contract() *contract.GuestFacts {
	if i.MinDisk == 0 {
		return nil
	}
	out := &contract.GuestFacts{Summary: i.Summary, MinDisk: i.MinDisk}
	if i.Facts != nil && len(i.Facts.Properties) > 0 {
		out.Properties = i.Facts.Properties
	}
	return out
}

// LookInside says what is inside a disk that Validate has passed. What is found there
// fails no import, and neither does an inspection that dies, takes too long or reads
// too much: that is told in the report. An error is one of the source, which another
// attempt may not meet, or that of the context.
func (p *Pipeline) LookInside(ctx context.Context, v contract.ValidateParams) (Inside, error) {
	d := v.Detected.Disk(v.Disk)
	if !holdsGuest(v.Detected, d) {
		return Inside{NotInspected: "it is no disk"}, nil
	}
	out := Inside{MinDisk: contract.MinDisk(d.VirtualSize)}
	if p.Guest == nil {
		out.NotInspected = "the server does not look into disks"
		return out, nil
	}
	facts, err := p.inspect(ctx, v, d.Format, &out.Read)
	out.Facts = facts
	if err != nil {
		if end := ends(ctx, err); end != nil {
			return Inside{}, end
		}
		out.NotInspected = unseen(err)
	}
	if facts != nil {
		out.Summary = facts.Summary()
	}
	return out.fit(), nil
}

// holdsGuest reports whether a disk is one that a machine has: kernels, their
// ramdisks and container images are none.
func holdsGuest(all contract.Detected, d contract.DetectedDisk) bool {
	name := formats.Name(d.Format)
	return name != detect.AKI && name != detect.ARI && all.Container != unwrap.ContainerDocker
}

// inspect opens the disk once more, so that the time that reading may take ends all
// reads of it, and inspects it. The facts are nil if it could not be opened.
func (p *Pipeline) inspect(ctx context.Context, v contract.ValidateParams, format string, read *Reads) (*guest.Facts, error) {
	longest := p.Guest.Longest
	if longest == 0 {
		longest = DefaultGuestLongest
	}
	within, cancel := context.WithTimeoutCause(ctx, longest, errInsideSlow)
	defer cancel()
	var source, seen atomic.Int64
	defer func() { read.Source, read.Guest = source.Load(), seen.Load() }()
	disk, set, _, err := p.openDisk(sources.WithTables(within), v.TaskID, v.Fetched, format, v.Disk, v.Soft, watching(func(n int) { source.Add(int64(n)) }))
	if err != nil {
		return nil, slow(within, err)
	}
	defer set.Close()
	defer disk.Close()
	facts, err := guest.Inspect(within, watch(disk, func(n int) { seen.Add(int64(n)) }), disk.Size(), p.Guest.Lister)
	if err == nil {
		err = set.check(within)
	}
	return &facts, slow(within, err)
}

// errInsideSlow is the cause of an inspection's end that took too long.
var errInsideSlow = errors.New("the inspection took too long")

// slow adds to an error that the time was over. A source may see the deadline a moment
// before the context does.
func slow(ctx context.Context, err error) error {
	if err != nil && (errors.Is(err, context.DeadlineExceeded) || context.Cause(ctx) == errInsideSlow) {
		return errInsideSlow
	}
	return err
}

// ends returns the error if it ends the attempt: the caller gave up, the source is not
// what it was, or another attempt may do better.
func ends(ctx context.Context, err error) error {
	switch code := errcode.Of(err); {
	case ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case errors.Is(err, errInsideSlow):
		return nil
	case code == errcode.SourceChanged || code == errcode.StagingLost:
		return err
	case code != errcode.Internal && errcode.Lookup(code).Retryable:
		return err
	}
	return nil
}

// unseen says in words why an inspection ended early. The text of an error without a
// code may hold what is nobody's business.
func unseen(err error) string {
	if e, ok := errcode.As(err); ok {
		return fmt.Sprintf("the disk could not be read: %s %s", e.Code, e.Message)
	}
	if errors.Is(err, errInsideSlow) {
		return "it took too long to read"
	}
	return "the disk could not be read"
}

// fit returns the report without its trees of files if it is too large to be kept: only
// a crafted disk has so much to say.
func (i Inside) fit() Inside {
	if i.Facts == nil || i.size() <= maxInsideBytes {
		return i
	}
	facts := *i.Facts
	facts.Volumes = append([]guest.Volume{}, facts.Volumes...)
	for n := range facts.Volumes {
		facts.Volumes[n].Listing = nil
	}
	i.Facts = &facts
	i.NotInspected = "what is told of files is left out: it is too much to keep"
	if i.size() > maxInsideBytes {
		facts.Volumes, facts.Findings = nil, nil
		facts.Table.Partitions, facts.Table.Findings = nil, nil
		i.NotInspected = "only properties are kept: there is too much to tell"
	}
	return i
}

// size is that of the report as JSON, bytes.
func (i Inside) size() int {
	raw, err := json.Marshal(i)
	if err != nil {
		return maxInsideBytes + 1
	}
	return len(raw)
}
