package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"

	"ingest/api/wire"
	"ingest/internal/tools/ingestserver"
	"ingest/metadata"
)

// lookEvery is the time between two looks at a bulk: each counts its items.
const lookEvery = time.Second

// A cost is the processor time that one side has taken.
type cost struct {
	Temporal, Worker time.Duration
	Took             time.Duration
}

func (c cost) cpu() time.Duration { return c.Temporal + c.Worker }

// each is the cost of one of n.
func (c cost) each(n int) cost {
	d := time.Duration(n)
	return cost{c.Temporal / d, c.Worker / d, c.Took / d}
}

// metered runs fn and takes what it has cost the two processes.
func metered(temporal, worker func() (time.Duration, error), fn func() error) (cost, error) {
	t0, err1 := temporal()
	w0, err2 := worker()
	began := time.Now()
	if err := errors.Join(err1, err2, fn()); err != nil {
		return cost{}, err
	}
	took := time.Since(began)
	t1, err1 := temporal()
	w1, err2 := worker()
	return cost{t1 - t0, w1 - w0, took}, errors.Join(err1, err2)
}

// A bulkSide is a bulk that has run.
type bulkSide struct {
	cost
	items  int
	bulk   wire.Bulk
	parent []history
	child  history
	shape  shape
	memory []sample
	stored []stored
}

// A sample is the memory of the two processes when a part of the items was done.
type sample struct {
	Done             int // items
	Worker, Temporal int64
}

// A stored is how large something has become.
type stored struct {
	Name  string
	Bytes int64
}

// runBulk imports n disks as one bulk on servers of its own, for so long at most; 0 is to
// its end.
func (b *bench) runBulk(ctx context.Context, n int, longest time.Duration) (side bulkSide, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return side, err
	}
	defer remove()
	h, err := b.newHouse(ctx, dir)
	if err != nil {
		return side, err
	}
	defer h.close()
	s, err := b.worker(ctx, h, dir)
	if err != nil {
		return side, err
	}
	defer s.Stop()
	text, err := b.origin.manifest(b.runs*1_000_000, n, b.o.window)
	if err != nil {
		return side, err
	}
	side.cost, err = metered(h.temporal.CPU, s.CPU, func() error {
		made, err := s.API.SubmitBulk(ctx, "application/json", text, nil)
		if err != nil {
			return err
		}
		return side.await(ctx, h, s, made.ID, longest)
	})
	if err != nil {
		return side, fmt.Errorf("%w\n%s", err, s.Tail())
	}
	side.stored = sizes(map[string]string{
		"catalogue": filepath.Join(dir, "worker", "data", "*.db*"), "Temporal": filepath.Join(h.dir, "data", "temporal", "*.db*"),
	})
	return side, side.read(ctx, h, s)
}

// read reads the histories that the bulk has left.
func (side *bulkSide) read(ctx context.Context, h *house, s *ingestserver.Server) error {
	var err error
	if side.parent, err = runsOf(ctx, h.client, side.bulk.WorkflowID); err != nil {
		return err
	}
	items, err := s.API.BulkItems(ctx, side.bulk.ID, url.Values{}, 1)
	if err != nil {
		return err
	}
	task, err := s.API.Task(ctx, items[0].TaskID)
	if err != nil {
		return err
	}
	if side.child, _, err = sizeOf(ctx, h.client, task.WorkflowID, ""); err != nil {
		return err
	}
	side.shape, err = shapeOf(ctx, h.client, task.WorkflowID)
	return err
}

// await waits for the end of a bulk, and takes the memory at its begin and at each tenth.
func (side *bulkSide) await(ctx context.Context, h *house, s *ingestserver.Server, id string, longest time.Duration) (err error) {
	began := time.Now()
	for tenth := 0; ; {
		if side.bulk, err = s.API.Bulk(ctx, id); err != nil {
			return err
		}
		got := side.bulk
		side.items = got.Items[string(metadata.ItemActive)]
		status := metadata.BulkStatus(got.Status)
		ends := status.Finished() || longest > 0 && time.Since(began) > longest
		if ends || side.items >= got.Total*tenth/10 {
			worker, _, err1 := s.Memory()
			temporal, _, err2 := h.temporal.Memory()
			side.memory = append(side.memory, sample{side.items, worker, temporal})
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			for tenth <= 10 && side.items >= got.Total*tenth/10 {
				tenth++
			}
		}
		switch {
		case status.Finished() && status != metadata.BulkSuccess:
			return fmt.Errorf("the bulk ended with %s: %v", got.Status, got.Items)
		case ends:
			return nil
		}
		if err := s.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// sizes adds up the files of each pattern.
func sizes(patterns map[string]string) []stored {
	var out []stored
	for _, name := range []string{"catalogue", "Temporal"} {
		out = append(out, stored{name, sizeOfFiles(patterns[name])})
	}
	return out
}

// runBare runs n bare workflows of a shape on servers of their own.
func (b *bench) runBare(ctx context.Context, n int, s shape) (c cost, err error) {
	dir, remove, err := b.folder()
	if err != nil {
		return c, err
	}
	defer remove()
	h, err := b.newHouse(ctx, dir)
	if err != nil {
		return c, err
	}
	defer h.close()
	w, err := startBare(ctx, h)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	return metered(h.temporal.CPU, w.cpu, func() error {
		run, err := h.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "bare", TaskQueue: bareQueue}, bareParent,
			bareBatch{Shape: s, Items: n, Window: b.o.window})
		if err != nil {
			return err
		}
		return run.Get(ctx, nil)
	})
}
