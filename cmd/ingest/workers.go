package main

import (
	"sync"
	"time"

	"go.temporal.io/sdk/worker"

	"ingest/activities"
	"ingest/internal/contract"
	"ingest/workflows"
)

// heartbeatThrottle bounds how late a worker learns of a cancel and how much
// progress a crash hides: the SDK would wait for up to 0.8 of the heartbeat
// timeout.
const heartbeatThrottle = time.Second

// waitingSlots is how many imports may wait on a host for their turn, each with
// a slot of its worker, so that short work is never behind them: looking at an
// image, committing it, and cleaning up after a cancel.
const waitingSlots = 100

// startWorkers starts one worker for each task queue, each with slots of its
// own, so that a long conversion never keeps a status from being written.
func (s *services) startWorkers() error {
	deps := s.deps()
	deps.Bandwidth = activities.NewBandwidth(s.catalogue, s.c.Bandwidth, s.log)
	s.onClose(deps.Bandwidth.Stop) // behind the workers
	s.onClose(s.stopWorkers)
	deps.Heavy = activities.NewTurns(s.c.Imports, s.catalogue.Priorities)
	for _, q := range []struct {
		queue string
		slots int
	}{
		{contract.ImportQueue, 20},
		{contract.TransferQueue, max(4, 2*s.c.Imports)},
		{s.pipeline.HostQueue, s.c.Imports + waitingSlots},
	} {
		w := s.newWorker(q.queue, q.slots)
		activities.Register(w, deps)
		if q.queue == contract.ImportQueue {
			workflows.Register(w)
		}
		if err := w.Start(); err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// stopWorkers stops all workers side by side, and waits for what they run.
func (s *services) stopWorkers() {
	var all sync.WaitGroup
	for _, w := range s.workers {
		all.Go(w.Stop)
	}
	all.Wait()
	s.workers = nil
}

func (s *services) newWorker(queue string, slots int) worker.Worker {
	return worker.New(s.client, queue, worker.Options{
		MaxConcurrentActivityExecutionSize:      slots,
		MaxConcurrentLocalActivityExecutionSize: 20,
		MaxConcurrentWorkflowTaskExecutionSize:  20,
		MaxConcurrentWorkflowTaskPollers:        2,
		MaxConcurrentActivityTaskPollers:        2,
		DisableWorkflowWorker:                   queue != contract.ImportQueue,
		MaxHeartbeatThrottleInterval:            heartbeatThrottle,
		DefaultHeartbeatThrottleInterval:        heartbeatThrottle,
		// Zero would cut off the last heartbeat of a graceful stop, and with
		// it the resume point.
		WorkerStopTimeout: s.c.Drain,
		// A server that takes imports and runs none would look healthy.
		OnFatalError: func(err error) {
			select {
			case s.fatal <- err:
			default:
			}
		},
	})
}
