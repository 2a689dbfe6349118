package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"ingest/api/wire"
	"ingest/internal/bulk"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
	"ingest/metadata"
)

// plansAtOnce is how many items of a bulk are probed at once if the manifest does not say.
const plansAtOnce = 8

// planBulk makes a dry run of every item, and tells of each as it is known: lines of JSON,
// the summary last. Nothing is recorded.
func (a *api) planBulk(w http.ResponseWriter, r *http.Request) error {
	if a.Planner == nil {
		return errcode.New(errcode.NotFound, "this server makes no dry runs")
	}
	m, err := a.manifest(r)
	if err != nil {
		return err
	}
	reqs, items, err := m.Requests(a.submission(r, "ingest:plan"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", string(bulk.NDJSON))
	p := newBulkPlanner(a, r.Context(), m.Settings().Limits)
	enc := json.NewEncoder(w)
	sum := wire.BulkPlan{Items: len(items), Seconds: -1, Free: -1, Codes: map[string]int{}}
	total := 0.0
	for line := range p.run(reqs, items) {
		addPlan(&sum, &total, line)
		if enc.Encode(line) != nil {
			p.stop()
			continue // those at work are waited for
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	if total > 0 {
		sum.Seconds = total / float64(p.most)
	}
	_ = enc.Encode(wire.BulkPlanLine{Summary: &sum})
	return nil
}

// addPlan adds an item's forecast to the summary.
func addPlan(sum *wire.BulkPlan, total *float64, line wire.BulkPlanLine) {
	f := line.Forecast
	switch {
	case line.SameAs > 0:
		sum.Duplicates++
		return
	case line.Error != nil:
		sum.Unknown++
		sum.Codes[string(line.Error.Code)]++
		return
	case f == nil:
		sum.Unknown++
		return
	case f.Verdict == contract.VerdictAccepted:
		sum.Accepted++
	case f.Verdict == contract.VerdictRefused:
		sum.Refused++
		if f.Error != nil {
			sum.Codes[string(f.Error.Code)]++
		}
		return
	default:
		sum.Unknown++
	}
	for _, s := range f.Sources {
		sum.Bytes += max(s.Size, 0)
	}
	for _, d := range f.Disks {
		sum.Virtual += d.VirtualSize
		sum.Stored += max(d.Stored.Bytes, d.Stored.Least, 0)
	}
	if f.Store.Free >= 0 {
		sum.Free = f.Store.Free
	}
	*total += max(f.Time.Seconds, 0)
}

// A bulkPlanner probes items side by side, within the limits of their bulk.
type bulkPlanner struct {
	a       *api
	ctx     context.Context
	stop    context.CancelFunc
	most    int
	perHost int
	mu      sync.Mutex
	hosts   map[string]chan struct{}
}

func newBulkPlanner(a *api, ctx context.Context, l metadata.BulkLimits) *bulkPlanner {
	p := &bulkPlanner{a: a, most: l.Concurrency, perHost: l.PerHost, hosts: map[string]chan struct{}{}}
	if p.most == 0 || p.most > 64 {
		p.most = plansAtOnce
	}
	if p.perHost == 0 || p.perHost > p.most {
		p.perHost = p.most
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	return p
}

// run yields a line for each item. All of them must be taken.
func (p *bulkPlanner) run(reqs []contract.ImportRequest, items []metadata.BulkItem) <-chan wire.BulkPlanLine {
	next, out := make(chan int), make(chan wire.BulkPlanLine)
	var all sync.WaitGroup
	for range p.most {
		all.Go(func() {
			for i := range next {
				out <- p.item(reqs[i], items[i])
			}
		})
	}
	go func() {
		defer close(out)
		defer all.Wait()
		defer close(next)
		for i := range items {
			select {
			case next <- i:
			case <-p.ctx.Done():
				return
			}
		}
	}()
	return out
}

// item makes the dry run of one item.
func (p *bulkPlanner) item(req contract.ImportRequest, it metadata.BulkItem) wire.BulkPlanLine {
	line := wire.BulkPlanLine{N: it.N, Key: it.Key, Source: req.Source.URL, SameAs: it.SameAs}
	if strings.Contains(line.Source, "://") {
		line.Source = logging.URL(line.Source)
	}
	if it.SameAs > 0 {
		return line
	}
	turn := p.host(it.Host)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-p.ctx.Done():
		return line
	}
	f, err := p.a.Planner.Plan(p.ctx, req)
	if err != nil {
		v := contract.ValueOf(err)
		line.Error = &wire.ErrorDetail{Code: v.Code, Message: v.Message, Evidence: v.Evidence, Remedy: v.Remedy}
		return line
	}
	line.Forecast = &f
	return line
}

func (p *bulkPlanner) host(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts[name] == nil {
		p.hosts[name] = make(chan struct{}, p.perHost)
	}
	return p.hosts[name]
}
