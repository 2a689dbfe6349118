package metadata

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ingest/internal/errcode"
)

// unreached are the codes that say of a host that it does not answer.
var unreached = []string{string(errcode.SourceUnreachable), string(errcode.SourceTooSlow)}

// reached notes that a host answers.
func (st *step) reached(host string) {
	if g, known := st.b.Gates[host]; known && !g.Given {
		delete(st.b.Gates, host)
	}
}

// missed notes that a host did not answer, if that is what the code says.
func (st *step) missed(host, code string) {
	if !slices.Contains(unreached, code) || st.b.Settings.Breaker.Failures == 0 {
		return
	}
	if st.b.Gates == nil {
		st.b.Gates = map[string]Gate{}
	}
	g := st.b.Gates[host]
	g.Failures, g.Code = g.Failures+1, code
	st.b.Gates[host] = g
}

// judge shuts hosts that do not answer, and opens those that do again.
func (st *step) judge(ctx context.Context) error {
	b := st.b
	if b.Settings.Breaker.Failures == 0 {
		b.Gates = nil
		return nil
	}
	b.Gates = maps.Clone(b.Gates)
	if b.Gates == nil {
		b.Gates = map[string]Gate{}
	}
	if err := st.listen(ctx); err != nil {
		return err
	}
	for _, host := range slices.Sorted(maps.Keys(b.Gates)) {
		if err := st.judgeHost(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// listen counts the attempts that have ended since the last step.
func (st *step) listen(ctx context.Context) error {
	hosts, ids := map[string]string{}, make([]string, 0, len(st.running))
	for _, it := range st.running {
		hosts[it.TaskID] = it.Host
		ids = append(ids, it.TaskID)
	}
	events, err := st.tx.StageEvents(ctx, st.b.SeenEvent, ids)
	if err != nil {
		return err
	}
	for _, e := range events {
		st.b.SeenEvent = max(st.b.SeenEvent, e.Seq)
		host := hosts[e.TaskID]
		switch {
		case e.Code == "":
			st.reached(host)
		default:
			st.missed(host, e.Code)
		}
	}
	return nil
}

// judgeHost decides what is done with a host that has failed.
func (st *step) judgeHost(ctx context.Context, host string) error {
	g, r := st.b.Gates[host], st.b.Settings.Breaker
	if g.Given || g.Failures < r.Failures {
		return nil
	}
	if !g.shut() {
		g.Opened, g.Until = st.s.Now, st.s.Now.Add(r.wait(0))
	}
	if r.GiveUp > 0 {
		last := g.Opened.Add(seconds(r.GiveUp))
		if !st.s.Now.Before(last) {
			return st.giveUp(ctx, host, g)
		}
		st.wake(last)
	}
	tries := slices.ContainsFunc(st.running, func(it BulkItem) bool { return it.N == g.Probe })
	if g.Probe > 0 && !tries { // the one that tried has ended, without success
		g.Probe, g.Until = 0, st.s.Now.Add(r.wait(g.Tries))
	}
	if g.Probe == 0 && st.s.Now.Before(g.Until) {
		st.wake(g.Until)
	}
	st.b.Gates[host] = g
	return nil
}

// giveUp fails all items of a host.
func (st *step) giveUp(ctx context.Context, host string, g Gate) error {
	g.Given = true
	st.b.Gates[host] = g
	now := st.c.moment()
	message := fmt.Sprintf("host %s has not answered since %s; the item was given up after %d attempts in a row had failed", host, g.Opened.UTC().Format(time.RFC3339), g.Failures)
	err := st.tx.MoveBulkItems(ctx, st.b.ID, ItemMove{From: []ItemState{ItemPending}, To: ItemFailed, Host: host, Code: g.Code, Message: message, EndedAt: &now})
	if err != nil {
		return err
	}
	// Those who wait for one of these are of the same host.
	err = st.tx.MoveBulkItems(ctx, st.b.ID, ItemMove{From: []ItemState{ItemWaiting}, To: ItemFailed, Host: host, Code: g.Code, Message: message, EndedAt: &now})
	if err != nil {
		return err
	}
	for i, it := range st.running {
		if it.Host != host || it.Code != "" {
			continue
		}
		it.Code, it.Message = g.Code, message // its workflow is cancelled for it: see end
		st.running[i] = it
		if err := st.tx.PutBulkItem(ctx, it); err != nil {
			return err
		}
	}
	if st.b.Settings.OnFailure == OnFailureStop && st.b.Status == BulkRunning {
		st.b.Status, st.b.Message = BulkCancelling, message
	}
	return nil
}

// shut lists the hosts of which nothing begins now.
func (st *step) shut() []string {
	var out []string
	for _, host := range slices.Sorted(maps.Keys(st.b.Gates)) {
		g := st.b.Gates[host]
		if g.shut() && !g.Given && (g.Probe > 0 || st.s.Now.Before(g.Until)) {
			out = append(out, host)
		}
	}
	return out
}

// wait is the pause before the numbered try, from 0.
func (r Breaker) wait(try int) time.Duration {
	pause, most := r.Pause, r.MaxPause
	if pause == 0 {
		pause = 30
	}
	if most == 0 {
		most = max(pause, 600)
	}
	for range min(try, 40) {
		if pause >= most {
			break
		}
		pause *= 2
	}
	return seconds(min(pause, most))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
