package metadata

import (
	"context"
	"fmt"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/timewindow"
)

// A BulkStepper is what a step of a bulk needs of those who know what is in a request.
type BulkStepper struct {
	// Now is the moment of the step: windows and pauses go by it.
	Now time.Time
	// Most is how many items one step may begin.
	Most int
	// Prepare is the task and image of an item's next attempt. Its ids are the same
	// however often it is asked.
	Prepare func(Bulk, BulkItem) (NewImport, error)
	// Further is the id of the n-th further image of a task, from 2.
	Further func(taskID, imageID string, n int) string
	// Default is how many items run at once if a bulk does not say.
	Default int
	// Again asks for what was begun and of which no workflow has been heard yet.
	Again bool
}

// A BulkBegun is an item whose task waits for its workflow.
type BulkBegun struct {
	N    int
	Task Task
}

// A BulkStep is what came of a step.
type BulkStep struct {
	Bulk    Bulk
	Begun   []BulkBegun // to be started
	Stop    []string    // workflows to be cancelled
	Running int         // items
	Wake    time.Time   // when something changes by itself, zero if it does not
	Ended   bool        // there is nothing left to be done
}

// A step is one run of StepBulk's transaction.
type step struct {
	c       *Catalogue
	tx      Tx
	s       BulkStepper
	b       *Bulk
	out     BulkStep
	running []BulkItem
}

// StepBulk takes a bulk one step further, in one transaction: the items whose tasks have
// ended are settled, hosts that do not answer are shut, and the next items begin as the
// limits, the windows and the gates allow. Their tasks are written down with it, so that
// whatever dies afterwards, each begins once.
func (c *Catalogue) StepBulk(ctx context.Context, id string, s BulkStepper) (BulkStep, error) {
	return update(ctx, c, func(tx Tx) (BulkStep, error) {
		b, err := tx.Bulk(ctx, id)
		if err != nil {
			return BulkStep{}, err
		}
		if b.Status.Finished() {
			return BulkStep{Bulk: b, Ended: true}, nil
		}
		before := fmt.Sprint(b)
		st := &step{c: c, tx: tx, s: s, b: &b}
		for _, do := range []func(context.Context) error{st.settle, st.judge, st.begin, st.end} {
			if err := do(ctx); err != nil {
				return BulkStep{}, err
			}
		}
		if fmt.Sprint(b) != before {
			if err := c.storeBulk(ctx, tx, b); err != nil {
				return BulkStep{}, err
			}
		}
		st.out.Bulk, st.out.Running = b, len(st.running)
		return st.out, nil
	})
}

// wake asks for another step at the moment.
func (st *step) wake(at time.Time) {
	if st.out.Wake.IsZero() || at.Before(st.out.Wake) {
		st.out.Wake = at
	}
}

// settle takes over how tasks of running items have ended.
func (st *step) settle(ctx context.Context) error {
	items, err := st.tx.BulkItems(ctx, st.b.ID, ItemFilter{States: []ItemState{ItemRunning}})
	if err != nil || len(items) == 0 {
		return err
	}
	ids := make([]string, 0, len(items))
	for _, it := range items {
		ids = append(ids, it.TaskID)
	}
	statuses, err := st.tx.StatusesOfTasks(ctx, ids)
	if err != nil {
		return err
	}
	for _, it := range items {
		status, known := statuses[it.TaskID]
		if known && !status.Finished() {
			if st.s.Again && status == TaskPending {
				if err := st.again(ctx, it); err != nil {
					return err
				}
			}
			st.running = append(st.running, it)
			continue
		}
		if err := st.settleItem(ctx, it, known); err != nil {
			return err
		}
	}
	return nil
}

// again lets an item be started of which it is not known whether it was.
func (st *step) again(ctx context.Context, it BulkItem) error {
	t, err := st.tx.Task(ctx, it.TaskID)
	if err == nil {
		st.out.Begun = append(st.out.Begun, BulkBegun{it.N, t})
	}
	return err
}

func (st *step) settleItem(ctx context.Context, it BulkItem, known bool) error {
	t := Task{Status: TaskFailure, UpdatedAt: st.c.moment(), Error: &TaskError{Code: errcode.TaskLost, Message: "the record of the task is gone"}}
	if known {
		var err error
		if t, err = st.tx.Task(ctx, it.TaskID); err != nil {
			return err
		}
	}
	it.EndedAt = &t.UpdatedAt
	if t.Status == TaskSuccess {
		it.State, it.Code, it.Message, it.Bytes = ItemActive, "", "", 0
		img, err := st.tx.Image(ctx, it.ImageID)
		if err != nil && !isNotFound(err) {
			return err
		}
		if img.Size != nil {
			it.Bytes = *img.Size
		}
		st.reached(it.Host)
	} else {
		code, message := errcode.Internal, t.Message
		if t.Error != nil {
			code, message = t.Error.Code, t.Error.Message
		}
		given := it.Code != "" && code == errcode.TaskCancelled // it was cancelled because its host was given up
		switch {
		case given:
			it.State = ItemFailed
		case code == errcode.TaskCancelled:
			it.State, it.Code, it.Message = ItemCancelled, string(code), message
		default:
			it.State, it.Code, it.Message = ItemFailed, string(code), message
			st.missed(it.Host, string(code))
		}
		if it.State == ItemFailed && st.b.Settings.OnFailure == OnFailureStop && st.b.Status == BulkRunning {
			st.b.Status, st.b.Message = BulkCancelling, fmt.Sprintf("item %d (%s) has failed with %s", it.N, it.Key, it.Code)
		}
	}
	if err := st.tx.PutBulkItem(ctx, it); err != nil {
		return err
	}
	return st.tx.MoveBulkItems(ctx, st.b.ID, ItemMove{From: []ItemState{ItemWaiting}, To: ItemPending, SameAs: it.N})
}

// end ends a bulk that has nothing left to do.
func (st *step) end(ctx context.Context) error {
	b := st.b
	stopping := b.Status == BulkCancelling || b.Status == BulkAborting
	for _, it := range st.running {
		if b.Status != BulkAborting && it.Code == "" {
			continue
		}
		t, err := st.tx.Task(ctx, it.TaskID)
		if err != nil {
			return err
		}
		st.out.Stop = append(st.out.Stop, t.WorkflowID)
	}
	if len(st.running) > 0 || !stopping && !st.out.Wake.IsZero() {
		return nil
	}
	if stopping {
		now := st.c.moment()
		err := st.tx.MoveBulkItems(ctx, b.ID, ItemMove{From: []ItemState{ItemPending, ItemWaiting}, To: ItemCancelled,
			Code: string(errcode.TaskCancelled), Message: "given up with its bulk", EndedAt: &now})
		if err != nil {
			return err
		}
	}
	counts, err := st.tx.BulkCounts(ctx, b.ID)
	if err != nil {
		return err
	}
	have := map[ItemState]int{}
	for _, n := range counts {
		have[n.State] = n.Items
	}
	if have[ItemPending]+have[ItemWaiting]+have[ItemRunning] > 0 {
		return nil
	}
	switch done := have[ItemActive] + have[ItemSkipped]; {
	case stopping && b.Message != "": // one item has failed
		b.Status = BulkFailure
	case stopping:
		b.Status = BulkCancelled
	case have[ItemFailed]+have[ItemCancelled] == 0:
		b.Status = BulkSuccess
	case done == 0:
		b.Status = BulkFailure
	default:
		b.Status = BulkPartial
	}
	now := st.c.moment()
	b.EndedAt, st.out.Ended = &now, true
	return nil
}

// open reports whether items may begin now.
func (st *step) open() (bool, error) {
	if st.b.Status != BulkRunning {
		return false, nil
	}
	windows, err := timewindow.Parse(st.b.Settings.Windows)
	if err != nil {
		return false, err
	}
	open, until := windows.Open(st.s.Now)
	if !open && !until.IsZero() {
		st.wake(until)
	}
	return open, nil
}
