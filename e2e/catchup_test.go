package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
)

// due lists the times for which the service has run a schedule by itself, the first one
// first. The id of a run's workflow ends in its time.
func (s *server) due(id string) (out []time.Time) {
	s.t.Helper()
	for _, run := range s.scheduleOf(id).Runs {
		if run.ByHand || run.Outcome == contract.RunRunning || run.Outcome == contract.RunWaiting {
			continue
		}
		name := s.task(run.TaskID).WorkflowID
		at, err := time.Parse(time.RFC3339, name[strings.LastIndex(name, "-20")+1:])
		if err != nil {
			s.t.Fatalf("workflow %s: %v", name, err)
		}
		out = append(out, at)
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// TestScheduleCatchesUp has no server run while a schedule is due three times: what is not
// older than the schedule's catch-up is made up for, each time by a run of its own, and
// what is older is left out.
func TestScheduleCatchesUp(t *testing.T) {
	t.Parallel()
	from := newShelf(t)
	from.put(t, "golden.img", 81)
	s := start(t, loopback)
	const catchup = 115 * time.Second
	sched := s.schedule("golden", from.URL+"/golden.img", "--every", "60s", "--catchup", catchup.String(), "--overlap", "buffer_all", "--trust", "none")
	// The service may have begun a run of its own before: one of the two switches.
	if task := s.trigger(sched.ID); task.Status != "success" {
		t.Fatalf("the first run: %s", show(task))
	}
	eventually(t, 150*time.Second, "a run by itself", func() (bool, string) { return len(s.due(sched.ID)) > 0, "" })
	s.kill9()
	s.givesTurn() // minutes of waiting, and little behind them
	last := time.Now().Truncate(time.Minute)
	missed := []time.Time{last.Add(time.Minute), last.Add(2 * time.Minute), last.Add(3 * time.Minute)}
	// The three are 25, 85 and 145 seconds late then; the service has half a minute to begin.
	time.Sleep(time.Until(missed[2].Add(25 * time.Second)))
	away := time.Now()
	s.restart()
	ready := time.Now()
	eventually(t, 150*time.Second, "the next run in time", func() (bool, string) {
		got := s.due(sched.ID)
		return slices.ContainsFunc(got, func(at time.Time) bool { return at.After(missed[2]) }), show(got)
	})
	got := s.due(sched.ID)
	for i, at := range missed {
		if away.Sub(at) < catchup && ready.Sub(at) >= catchup {
			t.Logf("missed time %d was due either way: the server took %v to begin", i+1, ready.Sub(away))
			continue
		}
		if want := ready.Sub(at) < catchup; slices.ContainsFunc(got, at.Equal) != want {
			t.Errorf("missed time %d, %v late when the server was ready: caught up %v, want %v; all are %s", i+1, ready.Sub(at), !want, want, show(got))
		}
	}
	for _, run := range s.scheduleOf(sched.ID).Runs {
		if run.Outcome != contract.RunUnchanged && run.Outcome != contract.RunSwitched && run.Outcome != contract.RunRunning && run.Outcome != contract.RunWaiting {
			t.Errorf("run %s", show(run))
		}
	}
	s.shows(s.scheduleOf(sched.ID))
}
