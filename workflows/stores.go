package workflows

import (
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// spread copies every disk from the store that took it into the further ones.
func spread(ctx workflow.Context, st *state) error {
	if len(st.stores) < 2 {
		return nil
	}
	for i := range st.disks {
		d := st.at(i)
		var jobs []contract.CopyParams
		for _, store := range st.further() {
			if !d.in(store) {
				jobs = append(jobs, contract.CopyParams{
					TaskID: st.req.TaskID, ImageID: st.imageID(), From: []contract.Stored{*d.stored}, Store: store, Key: st.key(), Size: d.converted.Size,
					HashAlgo: d.checksummed.HashAlgo, HashValue: d.checksummed.HashValue, Disk: st.disk,
				})
			}
		}
		last := i == len(st.disks)-1
		err := copyAll(ctx, st, st.fetched.Queue, jobs, func(s contract.Stored) {
			d.copies = append(d.copies, s)
			if last {
				markStores(ctx, st)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copyAll runs copies side by side, and tells each that is done. If all must
// succeed, the first that fails stops the others and is returned; else it is noted
// as failed, as long as there is any other.
func copyAll(ctx workflow.Context, st *state, queue string, jobs []contract.CopyParams, done func(contract.Stored)) error {
	if len(jobs) == 0 {
		return nil
	}
	if err := st.gate(ctx); err != nil {
		return err
	}
	st.enter(ctx, contract.StageCopy)
	report := contract.ReportParams{TaskID: st.req.TaskID, Stage: contract.StageCopy, Disk: st.disk}
	if err := workflow.ExecuteLocalActivity(withRow(ctx), contract.ReportActivity, report).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Warn("stage not reported", "stage", string(contract.StageCopy), "error", err)
	}
	must := st.req.MustSucceed()
	work, stop := workflow.WithCancel(ctx)
	defer stop()
	var first error
	selector := workflow.NewSelector(ctx)
	for _, job := range jobs {
		st.parts = append(st.parts, contract.Progress{Store: job.Store, Total: job.Size})
		up := contract.Leftover{ImageID: job.ImageID, Store: job.Store, Key: job.Key}
		st.leave(up)
		var got contract.Stored
		copied, end := workflow.NewFuture(ctx)
		workflow.GoNamed(work, "copy", func(work workflow.Context) {
			end.Set(nil, st.work(withCopy(work, queue, must), contract.CopyActivity, job, &got))
		})
		selector.AddFuture(copied, func(f workflow.Future) {
			switch err := f.Get(ctx, nil); {
			case err == nil:
				st.observePart(contract.Progress{Stage: contract.StageCopy, Disk: st.disk, Store: job.Store, Bytes: job.Size, Total: job.Size, ObservedAt: workflow.Now(ctx)})
				done(got)
			case first != nil:
			case must || ctx.Err() != nil || hostSilent(err):
				first = err
				stop()
			default:
				workflow.GetLogger(ctx).Warn("a store has failed, the task goes on without it", "store", job.Store, "error", err)
				st.giveUp(job.Store, up)
				st.refused = err
			}
		})
	}
	for range jobs {
		selector.Select(ctx)
	}
	return first
}

// elsewhere begins again with the next store, if the first one failed, need not
// succeed, and is not the only one. What was fetched serves once more.
func elsewhere(ctx workflow.Context, st *state, err error) bool {
	if st.req.MustSucceed() || len(st.further()) == 0 || !storeFailed(err) || ctx.Err() != nil || st.progress.Stage == contract.StageCopy {
		return false
	}
	next := st.further()[0]
	workflow.GetLogger(ctx).Warn("the first store has failed, beginning with the next one", "next", next, "error", err)
	st.failed = append(st.failed, st.stores[0])
	st.req.Target.Store = next
	st.moved++
	st.nextRound(*st.fetched)
	return true
}

// storeFailed reports whether it was a store that failed, and not the image.
func storeFailed(err error) bool {
	return hasCode(err, errcode.StoreUnavailable) || hasCode(err, errcode.NoSpace) || hasCode(err, errcode.StoreUnsuitable) || hasCode(err, errcode.ObjectTooLarge)
}

// giveUp notes that a store has failed, and what may lie there.
func (st *state) giveUp(store string, up contract.Leftover) {
	if !slices.Contains(st.failed, store) {
		st.failed = append(st.failed, store)
	}
	st.lost = append(st.lost, up)
	for _, d := range st.disks {
		for _, c := range d.copies {
			if c.Store == store { // an image is whole in a store, with all its disks, or not there
				image, _, _ := strings.Cut(c.Key, "/")
				st.lost = append(st.lost, contract.Leftover{ImageID: image, Store: c.Store, Key: c.Key})
			}
		}
		d.copies = slices.DeleteFunc(d.copies, func(c contract.Stored) bool { return c.Store == store })
	}
}

// further lists the stores behind the first one that have not failed.
func (st *state) further() []string {
	var out []string
	for i, store := range st.stores {
		if i > 0 && !slices.Contains(st.failed, store) {
			out = append(out, store)
		}
	}
	return out
}

// failedStores lists the stores that have failed, in the order of the request.
func (st *state) failedStores() []string {
	var out []string
	for _, store := range st.failed {
		if !slices.Contains(out, store) {
			out = append(out, store)
		}
	}
	return out
}

// leave notes an upload that an undo has to remove.
func (st *state) leave(up contract.Leftover) {
	here := st.here()
	for _, f := range here.further {
		if f.Store == up.Store && f.Key == up.Key {
			return
		}
	}
	here.further = append(here.further, up)
}

// markStores shows on the images, in passing, which stores they are brought into.
func markStores(ctx workflow.Context, st *state) {
	if len(st.stores) < 2 {
		return
	}
	var importing []string
	if d := st.disks[0]; d.stored == nil {
		importing = append(importing, st.stores[0])
	}
	for _, store := range st.further() {
		if !st.disks[len(st.disks)-1].in(store) {
			importing = append(importing, store)
		}
	}
	mark(ctx, st, importing)
}

func mark(ctx workflow.Context, st *state, importing []string) {
	params := contract.MarkStoresParams{TaskID: st.req.TaskID, ImageID: st.req.ImageID, Importing: importing, Failed: st.failedStores()}
	if err := workflow.ExecuteLocalActivity(withRow(ctx), contract.MarkStoresActivity, params).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Warn("stores not shown", "error", err)
	}
}

// dropLost removes what lies in stores that were given up.
func dropLost(ctx workflow.Context, st *state) {
	if len(st.lost) == 0 {
		return
	}
	first := st.lost[0]
	params := contract.CleanupParams{TaskID: st.req.TaskID, ImageID: first.ImageID, Store: first.Store, Key: first.Key, Further: st.lost[1:]}
	if err := clean(ctx, st.here().queue, params); err != nil {
		workflow.GetLogger(ctx).Warn("something may be left for the reaper", "store", first.Store, "key", first.Key, "error", err)
	}
}

// observePart takes the figures of one of the copies that run side by side; what is
// told is all of them together.
func (st *state) observePart(p contract.Progress) {
	if p.Stage != st.progress.Stage || p.Disk != st.progress.Disk {
		return
	}
	sum := contract.Progress{Total: 0, ETA: -1, Attempt: 1}
	for i := range st.parts {
		part := &st.parts[i]
		if part.Store == p.Store && (p.Attempt == 0 || p.Attempt >= part.Attempt) && !p.ObservedAt.Before(part.ObservedAt) {
			total := part.Total
			*part = p
			part.Total = total
		}
		sum.Bytes, sum.Total, sum.Rate = sum.Bytes+part.Bytes, sum.Total+part.Total, sum.Rate+part.Rate
		sum.Attempt = max(sum.Attempt, part.Attempt)
		if part.ETA > sum.ETA && part.Bytes < part.Total {
			sum.ETA = part.ETA
		}
	}
	st.progress.Bytes, st.progress.Total, st.progress.Rate, st.progress.ETA = sum.Bytes, sum.Total, sum.Rate, sum.ETA
	st.progress.Attempt, st.progress.Message = sum.Attempt, p.Message
	st.progress.ObservedAt = p.ObservedAt
}

// copied are the places of the disk behind the first one.
func (d *disk) copied() []contract.Stored { return d.copies }

// in reports whether the disk is in a further store already.
func (d *disk) in(store string) bool {
	return slices.ContainsFunc(d.copies, func(c contract.Stored) bool { return c.Store == store })
}
