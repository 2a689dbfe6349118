package transfer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/internal/errcode"
)

// unitCost is what one unit in flight may hold: its guest bytes and a worker's
// output of about the same size.
const unitCost = 2 * UnitBytes

// slots returns how many units of data may be in flight.
func (e *Engine) slots() int {
	mem := e.Memory
	if mem <= 0 {
		mem = DefaultMemory
	}
	// Three slots for each worker keep all of them busy while one unit waits
	// for its turn; fewer than two in all would serialise reading and writing.
	return int(max(2, min(mem/unitCost, int64(3*e.NumWorkers()))))
}

// A job is a unit on its way through the engine: the dispatcher fills in where
// it lies, a worker reads and works on it, the deliverer takes it in order.
type job struct {
	unit Unit
	buf  []byte        // the slot's own buffer, UnitBytes long once used
	read bool          // its bytes are read, and count in the window
	done chan struct{} // closed by the worker
	err  error
}

// run is Run without its documentation: one dispatcher, NumWorkers workers, and
// the deliverer, which is the calling goroutine.
func (e *Engine) run(ctx context.Context, src formats.Disk, from, to int64, work Work, deliver Deliver) error {
	if from < 0 || from%UnitBytes != 0 || to > src.Size() || (from > to) {
		return fmt.Errorf("copy [%d, %d) of a disk of %d bytes: not on unit borders", from, to, src.Size())
	}
	if e.Digest != nil && e.Digest.Off() != from {
		return fmt.Errorf("copy from %d: %w: it has seen %d bytes", from, ErrDigestElsewhere, e.Digest.Off())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := newPass(e, src, work)
	defer p.recycle() // behind the wait: nobody uses a slot any more
	var wg sync.WaitGroup
	defer wg.Wait()
	// Cancelled before the wait, so that nobody stays behind after an error.
	defer cancel(errStopped)
	wg.Go(func() { p.dispatch(ctx, from, to) })
	for w := range e.NumWorkers() {
		wg.Go(func() { p.work(ctx, w) })
	}
	return p.deliver(ctx, e, deliver)
}

// errStopped is the cause by which a pass ends its own goroutines.
var errStopped = errors.New("pass ended")

// A pass is one Run.
type pass struct {
	src     formats.Disk
	fn      Work
	free    chan *job // slots that nobody uses
	todo    chan *job // for the workers
	ordered chan *job // for the deliverer, in order of offset
	digest  bool
	window  *Window
	jobs    []*job // all slots
}

// spare holds slots of passes that have ended: one pass after the other, such as an
// import's, need not collect as much garbage as each holds.
var spare = sync.Pool{New: func() any { return &job{} }}

// recycle leaves the slots to another pass.
func (p *pass) recycle() {
	for _, j := range p.jobs {
		j.unit = Unit{Buf: j.unit.Buf}
		spare.Put(j)
	}
}

func newPass(e *Engine, src formats.Disk, work Work) *pass {
	n := e.slots()
	p := &pass{
		src: src, fn: work, digest: e.Digest != nil && e.TapLeaf == nil, window: e.Window,
		free: make(chan *job, n), todo: make(chan *job, n), ordered: make(chan *job, n),
	}
	for range n {
		j := spare.Get().(*job)
		p.jobs = append(p.jobs, j)
		p.free <- j
	}
	return p
}

// dispatch cuts [from, to) into runs of zeros and units with data. Both take a
// slot, so that the deliverer's queue is bounded too.
func (p *pass) dispatch(ctx context.Context, from, to int64) {
	defer close(p.ordered)
	defer close(p.todo)
	off := from
	for off < to {
		run, err := p.next(off, to)
		if err != nil {
			p.emit(ctx, Unit{Off: off}, err)
			return
		}
		if run.zeros > 0 {
			if !p.emit(ctx, Unit{Off: off, Len: run.zeros}, nil) {
				return
			}
			off += run.zeros
		}
		for off < run.dataEnd {
			n := min(UnitBytes, to-off)
			if !p.send(ctx, Unit{Off: off, Len: n}) {
				return
			}
			off += n
		}
	}
}

// next is nextRun, in which a panic of the disk ends the copy, not the process.
func (p *pass) next(off, to int64) (run stretch, err error) {
	defer rescue(&err, off)
	return nextRun(p.src, off, to)
}

// rescue turns a panic into an error.
func rescue(err *error, off int64) {
	if r := recover(); r != nil {
		*err = errcode.Wrap(fmt.Errorf("panic: %v\n%s", r, debug.Stack()), errcode.ParserCrash,
			"reading at guest offset %d failed in an unforeseen way", off)
	}
}

// emit hands a unit without data, or an error, straight to the deliverer.
func (p *pass) emit(ctx context.Context, u Unit, err error) bool {
	j, ok := p.slot(ctx, u)
	if !ok {
		return false
	}
	j.err = err
	close(j.done)
	p.ordered <- j
	return true
}

// send hands a unit with data to the workers and, in order, to the deliverer.
func (p *pass) send(ctx context.Context, u Unit) bool {
	if !p.window.admit(ctx, u.Len) {
		return false
	}
	j, ok := p.slot(ctx, u)
	if !ok {
		return false
	}
	j.read = true
	p.todo <- j
	p.ordered <- j
	return true
}

// slot waits for a free slot. Both queues have room for every slot, so the
// sends that follow never block.
func (p *pass) slot(ctx context.Context, u Unit) (*job, bool) {
	select {
	case j := <-p.free:
		u.Buf = j.unit.Buf
		j.unit, j.err, j.read, j.done = u, nil, false, make(chan struct{})
		return j, true
	case <-ctx.Done():
		return nil, false
	}
}

// work reads and works on units until there are no more, two at a time while more
// wait: their leaves are taken side by side.
func (p *pass) work(ctx context.Context, worker int) {
	for j := range p.todo {
		p.some(ctx, worker, j, p.second())
	}
}

// second returns one more unit if one waits, else nil.
func (p *pass) second() *job {
	if !p.digest {
		return nil
	}
	select {
	case j := <-p.todo: // nil once there are no more
		return j
	default:
		return nil
	}
}

// some does one unit, and another if there is one.
func (p *pass) some(ctx context.Context, worker int, jobs ...*job) {
	for _, j := range jobs {
		if j != nil {
			j.err = p.fill(ctx, j)
		}
	}
	if p.digest {
		takeLeaves(jobs[0], jobs[1])
	}
	for _, j := range jobs {
		if j == nil {
			continue
		}
		if j.err == nil && j.unit.Data != nil && p.fn != nil {
			j.err = p.call(ctx, worker, &j.unit)
		}
		close(j.done)
	}
}

// fill reads a unit and finds out whether it is zero after all. A panic of a reader
// ends the unit, not the process.
func (p *pass) fill(ctx context.Context, j *job) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	defer rescue(&err, j.unit.Off)
	if j.buf == nil {
		j.buf = make([]byte, UnitBytes)
	}
	buf := j.buf[:j.unit.Len]
	found, err := formats.ReadData(p.src, buf, j.unit.Off)
	if err == nil && found && !allZero(buf) {
		j.unit.Data = buf
	}
	return err
}

// takeLeaves takes the leaves of one or two units; b may be nil.
func takeLeaves(a, b *job) {
	has := func(j *job) bool { return j != nil && j.err == nil && j.unit.Data != nil }
	switch {
	case has(a) && has(b):
		a.unit.leaf, b.unit.leaf = content.LeavesOf(a.unit.Data, b.unit.Data)
	case has(a):
		a.unit.leaf = content.LeafOf(a.unit.Data)
	case has(b):
		b.unit.leaf = content.LeafOf(b.unit.Data)
	}
}

// call lets the caller's function at a unit.
func (p *pass) call(ctx context.Context, worker int, u *Unit) (err error) {
	defer rescue(&err, u.Off)
	return p.fn(ctx, worker, u)
}

// deliver takes the units in order.
func (p *pass) deliver(ctx context.Context, e *Engine, fn Deliver) error {
	for {
		var j *job
		select {
		case next, ok := <-p.ordered:
			if !ok {
				// The dispatcher also stops early when the caller gives up.
				return context.Cause(ctx)
			}
			j = next
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-j.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if j.read {
			e.Window.delivering(j.unit.Len)
		}
		if err := e.deliverOne(j, fn); err != nil {
			return err
		}
		if j.read {
			e.Window.delivered()
		}
		p.free <- j
	}
}

// deliverOne folds the unit into the digest, hands it on and reports progress.
func (e *Engine) deliverOne(j *job, fn Deliver) error {
	if j.err != nil {
		return j.err
	}
	u := &j.unit
	switch {
	case u.Data != nil && e.TapLeaf != nil:
		u.leaf = e.TapLeaf(u)
	case e.Tap != nil:
		e.Tap(u)
	}
	if e.Digest != nil {
		if u.Data == nil {
			e.Digest.AddZeros(u.Len)
		} else {
			e.Digest.Add(u.leaf)
		}
	}
	if fn != nil {
		if err := fn(u); err != nil {
			return err
		}
	}
	if e.Progress != nil {
		e.Progress(u.Off + u.Len)
	}
	return nil
}
