package metadata

import (
	"context"
	"slices"
	"time"

	"ingest/internal/errcode"
)

// waitForQuota is how long a bulk waits for what others of its project do.
const waitForQuota = 10 * time.Second

// A budget is how many items of each kind may begin.
type budget struct {
	free          int // in all
	hosts, stores map[string]int
	perHost       int
	perStore      int
}

// begin lets the next items begin.
func (st *step) begin(ctx context.Context) error {
	open, err := st.open()
	if err != nil || !open {
		return err
	}
	left, err := st.budget(ctx)
	if err != nil {
		return err
	}
	shut := st.shut()
	for st.s.Most > len(st.out.Begun) {
		f := ItemFilter{States: []ItemState{ItemPending}, Turns: true, Limit: st.s.Most,
			NotHosts: append(slices.Clone(shut), full(left.hosts, left.perHost)...), NotStores: full(left.stores, left.perStore)}
		if left.free <= 0 {
			return nil
		}
		items, err := st.tx.BulkItems(ctx, st.b.ID, f)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, it := range items {
			if left.free <= 0 || left.full(it) || slices.Contains(shut, it.Host) {
				continue
			}
			if len(st.out.Begun) >= st.s.Most {
				break
			}
			began, err := st.beginItem(ctx, it)
			if err != nil {
				return err
			}
			if st.quotaBound(began) {
				return nil
			}
			if began == begun {
				left.take(it)
				if g := st.b.Gates[it.Host]; g.shut() {
					shut = append(shut, it.Host) // it was the one that tries
				}
			}
			if st.b.Status != BulkRunning {
				return nil
			}
		}
	}
	st.wake(st.s.Now) // there may be more
	return nil
}

// outcome is what came of beginning an item.
type outcome int

const (
	begun   outcome = iota // its task waits for its workflow
	settled                // it has ended already: it shares bytes, or was refused
	held                   // a quota does not let it begin
)

func (st *step) quotaBound(o outcome) bool {
	if o == held {
		st.wake(st.s.Now.Add(waitForQuota))
	}
	return o == held
}

// budget is what the limits leave.
func (st *step) budget(ctx context.Context) (budget, error) {
	l := st.b.Settings.Limits
	b := budget{free: l.Concurrency, perHost: l.PerHost, perStore: l.PerStore, hosts: map[string]int{}, stores: map[string]int{}}
	if b.free == 0 {
		b.free = st.s.Default
	}
	for _, it := range st.running {
		b.hosts[it.Host]++
		b.stores[it.Store]++
		if !st.b.Gates[it.Host].shut() { // what waits for a host that does not answer needs nothing
			b.free--
		}
	}
	if l.PerProject > 0 {
		n, err := st.tx.RunningBulkItems(ctx, st.b.Owner)
		if err != nil {
			return b, err
		}
		if left := l.PerProject - n; left < b.free {
			b.free = left
			if left <= 0 {
				st.wake(st.s.Now.Add(waitForQuota)) // another bulk may end
			}
		}
	}
	return b, nil
}

func (b *budget) take(it BulkItem) {
	b.free--
	b.hosts[it.Host]++
	b.stores[it.Store]++
}

func (b *budget) full(it BulkItem) bool {
	return b.perHost > 0 && b.hosts[it.Host] >= b.perHost || b.perStore > 0 && b.stores[it.Store] >= b.perStore
}

// full lists what has used its budget up.
func full(used map[string]int, limit int) []string {
	var out []string
	for name, n := range used {
		if limit > 0 && n >= limit {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// beginItem writes the task of an item's next attempt down, or lets it share the bytes of
// an item that went before it.
func (st *step) beginItem(ctx context.Context, it BulkItem) (outcome, error) {
	if it.SameAs > 0 {
		done, err := st.follow(ctx, &it)
		if err != nil || done {
			return settled, err
		}
	}
	it.Attempt++
	if err := st.useAgain(ctx, &it); err != nil {
		return settled, err
	}
	in, err := st.s.Prepare(*st.b, it)
	if err != nil {
		return settled, st.refuse(ctx, it, err)
	}
	if err := st.rank(ctx, it, &in.Task); err != nil {
		return settled, err
	}
	acc, err := st.accept(ctx, in)
	if errcode.Of(err) == errcode.QuotaExceeded && (len(st.running)+len(st.out.Begun) > 0 || uploadingQuota(err)) {
		return held, nil
	}
	if err != nil {
		return settled, st.refuse(ctx, it, err)
	}
	now := st.c.moment()
	it.State, it.TaskID, it.ImageID, it.StartedAt, it.EndedAt = ItemRunning, acc.Task.ID, acc.Image.ID, &now, nil
	it.Code, it.Message, it.Bytes = "", "", 0
	if g := st.b.Gates[it.Host]; g.shut() {
		g.Probe, g.Tries = it.N, g.Tries+1
		st.b.Gates[it.Host] = g
	}
	st.running = append(st.running, it)
	st.out.Begun = append(st.out.Begun, BulkBegun{it.N, acc.Task})
	return begun, st.tx.PutBulkItem(ctx, it)
}

// useAgain keeps the image that an attempt before has left, if it waits for its bytes.
func (st *step) useAgain(ctx context.Context, it *BulkItem) error {
	if it.ImageID == "" {
		return nil
	}
	img, err := st.tx.Image(ctx, it.ImageID)
	if isNotFound(err) || err == nil && (img.Status != ImageQueued || img.Owner != st.b.Owner) {
		it.ImageID = ""
		return nil
	}
	return err
}

// rank gives an item's next attempt the priority that was set last for the one before.
func (st *step) rank(ctx context.Context, it BulkItem, t *Task) error {
	if it.TaskID == "" {
		return nil
	}
	old, err := st.tx.Task(ctx, it.TaskID)
	if isNotFound(err) {
		return nil
	}
	if err == nil {
		t.Priority = old.Priority
	}
	return err
}

// accept writes a task down. The image of an attempt before is used again, as long as it
// waits for its bytes.
func (st *step) accept(ctx context.Context, in NewImport) (Accepted, error) {
	if err := normalise(&in); err != nil {
		return Accepted{}, err
	}
	old, found, err := earlier(ctx, st.tx, in)
	if err != nil {
		return Accepted{}, err
	}
	if found {
		return Accepted{Task: old, Image: Image{ID: old.ImageID}}, nil
	}
	img, err := st.tx.Image(ctx, in.Image.ID)
	if err != nil && !isNotFound(err) {
		return Accepted{}, err
	}
	in.ExistingImage = err == nil && img.Status == ImageQueued && img.Owner == in.Task.Owner
	return st.c.accept(ctx, st.tx, in)
}

func uploadingQuota(err error) bool {
	e, ok := errcode.As(err)
	return ok && e.Evidence != nil && e.Evidence.Field == QuotaUploading
}

// refuse settles an item that cannot begin. What is wrong with the catalogue itself ends
// the step.
func (st *step) refuse(ctx context.Context, it BulkItem, why error) error {
	e, coded := errcode.As(why)
	if !coded || errcode.Lookup(e.Code).HTTPStatus >= 500 {
		return why
	}
	now := st.c.moment()
	it.State, it.Code, it.Message, it.StartedAt, it.EndedAt = ItemFailed, string(e.Code), plain(e.Message), &now, &now
	if st.b.Settings.OnFailure == OnFailureStop {
		st.b.Status, st.b.Message = BulkCancelling, "item "+it.Key+" was refused with "+it.Code
	}
	if err := st.tx.PutBulkItem(ctx, it); err != nil {
		return err
	}
	return st.tx.MoveBulkItems(ctx, st.b.ID, ItemMove{From: []ItemState{ItemWaiting}, To: ItemPending, SameAs: it.N})
}
