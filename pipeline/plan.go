package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/stores"
)

// sparseGrain is the piece of zeros that a plan leaves out when it is written:
// the block size of the common file systems.
const sparseGrain = 4 << 10

// waitingWriters is how many units may wait for the disk while every core works.
const waitingWriters = 2

// errPlanChanged means that the upload's bytes were laid out by another plan. A
// file system may tell other holes of the same bytes from one time to the next,
// for instance of a preallocated file once it has been read.
var errPlanChanged = errors.New("the source's holes are told differently than when the upload was begun")

// plan writes a plan in guest order, so that the content digest is taken in the
// same pass: first what is not guest data, then the data where it belongs.
func (w *writer) plan(ctx context.Context, e transfer.Engine, disk formats.Disk, plan formats.Plan) error {
	from := w.n.Checkpoint.Off
	sum, err := w.metadata(ctx, plan, func([]byte, int64) error { return nil })
	if err != nil {
		return err
	}
	if w.n.Plan != "" && w.n.Plan != sum {
		return errPlanChanged
	}
	w.n.Plan = sum
	if from == 0 {
		if _, err := w.metadata(ctx, plan, w.table); err != nil {
			return err
		}
	}
	if err := w.holes(ctx, plan); err != nil {
		return err
	}
	work, ordered := w.unitWriters(plan, &e)
	return e.Run(ctx, disk, from, disk.Size(), work, func(u *transfer.Unit) error {
		if err := ordered(u); err != nil {
			return err
		}
		end := u.Off + u.Len
		if end%transfer.UnitBytes != 0 {
			return nil // the end of the disk: Write saves once more
		}
		return w.Checkpoint(ctx, func() formats.Checkpoint { return w.reached(end) })
	})
}

// unitWriters returns what writes the units: the workers, each unit as soon as it is
// read, or what is called in order. A store that collects parts wants them in order;
// any other is kept busier, and the disk behind it, by several at once.
// A worker that waits for the disk uses no core, so there are more of them then.
func (w *writer) unitWriters(plan formats.Plan, e *transfer.Engine) (transfer.Work, func(u *transfer.Unit) error) {
	_, parts := w.up.(stores.Zeroer)
	if !parts {
		e.Workers = e.NumWorkers() + waitingWriters
	}
	pieces := make([][]transfer.Piece, e.NumWorkers())
	write := func(worker int, u *transfer.Unit) (err error) {
		pieces[worker], err = w.unit(plan, u, pieces[worker][:0])
		return err
	}
	if parts {
		return nil, func(u *transfer.Unit) error { return write(0, u) }
	}
	return func(_ context.Context, worker int, u *transfer.Unit) error { return write(worker, u) },
		func(*transfer.Unit) error { return nil }
}

// unit writes what of a unit is not zero to where the plan has it. It returns
// pieces, grown, for the next one.
func (w *writer) unit(plan formats.Plan, u *transfer.Unit, pieces []transfer.Piece) ([]transfer.Piece, error) {
	if u.Data == nil {
		return pieces, nil
	}
	pieces = transfer.Pieces(pieces, u.Data, sparseGrain)
	at := 0
	for _, pc := range pieces {
		if err := w.leaveOut(plan, u.Off+int64(at), u.Off+int64(pc.Start)); err != nil {
			return pieces, err
		}
		if err := w.locate(plan, u.Data[pc.Start:pc.End], u.Off+int64(pc.Start)); err != nil {
			return pieces, err
		}
		at = pc.End
	}
	return pieces, w.leaveOut(plan, u.Off+int64(at), u.Off+u.Len)
}

// reached is the checkpoint of a plan of which the guest's bytes before off are
// written.
func (w *writer) reached(off int64) formats.Checkpoint {
	return formats.Checkpoint{Codec: w.n.Codec, Off: off}
}

// metadata hands the plan's own ranges to put, in pieces, and returns the digest
// that tells this plan from others.
func (w *writer) metadata(ctx context.Context, plan formats.Plan, put func(p []byte, off int64) error) (string, error) {
	buf := make([]byte, 1<<20)
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", plan.Size())
	for r := range plan.Metadata() {
		fmt.Fprintf(h, "%d %d\n", r.Off, r.End)
		for off := r.Off; off < r.End; {
			if err := ctx.Err(); err != nil {
				return "", context.Cause(ctx)
			}
			p := buf[:min(int64(len(buf)), r.End-off)]
			if _, err := plan.ReadAt(p, off); err != nil && off+int64(len(p)) < plan.Size() {
				return "", err
			}
			h.Write(p)
			if err := put(p, off); err != nil {
				return "", err
			}
			off += int64(len(p))
			w.o(w.n.Checkpoint.Off, w.size, sign("tables", off))
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// table writes a piece of the plan's metadata.
func (w *writer) table(p []byte, off int64) error {
	if allZero(p) {
		return w.zeros(off, int64(len(p)))
	}
	if _, err := w.WriteAt(p, off); err != nil {
		return err
	}
	return w.Checkpoint(w.ctx, func() formats.Checkpoint { return w.reached(0) })
}

// errNotLocated means that a plan has no place for data that its disk holds.
var errNotLocated = errors.New("the plan has no place for this data: the source's extents changed")

// locate writes guest bytes where the plan has them.
func (w *writer) locate(plan formats.Plan, p []byte, off int64) error {
	for len(p) > 0 {
		hostOff, n := plan.Locate(off)
		if hostOff < 0 || n <= 0 {
			return errNotLocated
		}
		k := min(n, int64(len(p)))
		if _, err := w.WriteAt(p[:k], hostOff); err != nil {
			return err
		}
		p, off = p[k:], off+k
	}
	return nil
}

// zeros tells a store without holes of bytes that are not written.
func (w *writer) zeros(off, n int64) error {
	if z, ok := w.up.(stores.Zeroer); ok && n > 0 {
		if w.early != nil {
			if err := w.admit(off, n); err != nil {
				return err
			}
		}
		return z.WriteZeros(off, n)
	}
	return nil
}

// holes tells a store without holes of those of the plan.
func (w *writer) holes(ctx context.Context, plan formats.Plan) error {
	if _, ok := w.up.(stores.Zeroer); !ok {
		return nil
	}
	for off := int64(0); off < plan.Size(); {
		start, end, err := plan.NextData(off)
		if err != nil {
			return err
		}
		if start == end { // nothing but a hole to the end
			return w.zeros(off, plan.Size()-off)
		}
		if err := w.zeros(off, start-off); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		off = end
	}
	return nil
}

// leaveOut tells a store without holes of guest bytes that are zeros.
func (w *writer) leaveOut(plan formats.Plan, off, end int64) error {
	if _, ok := w.up.(stores.Zeroer); !ok {
		return nil
	}
	for off < end {
		hostOff, n := plan.Locate(off)
		if n <= 0 {
			return nil
		}
		n = min(n, end-off)
		if hostOff >= 0 {
			if err := w.zeros(hostOff, n); err != nil {
				return err
			}
		}
		off += n
	}
	return nil
}
