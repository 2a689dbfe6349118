package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ingest/activities/activitytest"
	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/metadata"
)

// A traffic is what a number of workers read and write for the items of a bulk, in a time
// that is made up.
type traffic struct {
	t     *testing.T
	repo  *activitytest.Flaky
	cat   *metadata.Catalogue
	begun time.Time
	all   sync.WaitGroup

	mu    sync.Mutex
	moved map[string][]int64 // bytes in each tenth of a second, by what they are counted as
}

const (
	trafficBulk  = "0c0f6c52-3d5e-4b0e-9a55-0d7f6f1f8c22"
	trafficOwner = "p1"
)

// newTraffic has a bulk of items, all of which have begun: the first half of them from
// host h0, the others from h1.
func newTraffic(t *testing.T, items int, l metadata.BulkLimits) *traffic {
	t.Helper()
	repo := activitytest.NewRepository(t)
	tr := &traffic{t: t, repo: repo, cat: metadata.New(repo), begun: time.Now(), moved: map[string][]int64{}}
	tr.bulk(trafficBulk, items, l)
	return tr
}

func (tr *traffic) bulk(id string, items int, l metadata.BulkLimits) {
	tr.t.Helper()
	var rows []metadata.BulkItem
	for n := 1; n <= items; n++ {
		host := fmt.Sprint("h", (n-1)*2/items)
		raw, _ := json.Marshal(contract.ImportRequest{Owner: trafficOwner, Source: contract.SourceSpec{URL: fmt.Sprintf("http://%s/%d", host, n)}})
		rows = append(rows, metadata.BulkItem{N: n, Key: fmt.Sprint(n), Host: host, Digest: fmt.Sprint(id, n), Request: raw})
	}
	_, _, err := tr.cat.AddBulk(tr.t.Context(), metadata.Bulk{ID: id, Owner: trafficOwner, Digest: id, WorkflowID: "bulk/" + id, Settings: metadata.BulkSettings{Limits: l}}, rows, false)
	if err == nil {
		_, err = tr.cat.StepBulk(tr.t.Context(), id, metadata.BulkStepper{Now: time.Now(), Most: items, Default: items, Prepare: prepareItem, Further: contract.DiskImageID})
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

// worker is one more process.
func (tr *traffic) worker(limit bandwidth.Rate) *Bandwidth {
	w := NewBandwidth(tr.cat, limit, zerolog.Nop())
	tr.t.Cleanup(w.Stop)
	return w
}

// A transfer is a step that moves bytes for an item.
type transfer struct {
	bulk  string
	item  int
	speed float64 // of the source and the network, bytes a second
	store string  // that is written to; "" reads from the source
}

// start begins a transfer of a worker, and returns how to end it.
func (tr *traffic) start(w *Bandwidth, x transfer) (end func()) {
	if x.bulk == "" {
		x.bulk = trafficBulk
	}
	move := func(ctx context.Context) (int, error) {
		n, err := 1<<20, error(nil)
		if x.store != "" {
			n, err = bandwidth.WriteAt(ctx, x.store, nowhere{}, make([]byte, n), 0)
		} else {
			n, err = bandwidth.Admit(ctx, n)
		}
		if err == nil {
			time.Sleep(time.Duration(float64(n) / x.speed * float64(time.Second)))
		}
		return n, err
	}
	return tr.carry(w, contract.BulkTaskID(x.bulk, x.item, 1), move, fmt.Sprintf("item%d", x.item), "all", x.bulk, x.store)
}

// carry has a step of a task move bytes until it is ended.
func (tr *traffic) carry(w *Bandwidth, taskID string, move func(context.Context) (int, error), as ...string) (end func()) {
	ctx, cancel := context.WithCancel(tr.t.Context())
	tr.all.Go(func() {
		b := &beat{ctx: ctx, d: Deps{Bandwidth: w}, w: work{taskID: taskID}}
		ctx, leave, err := b.metered()
		if err != nil {
			tr.t.Error(err)
			return
		}
		defer leave()
		for ctx.Err() == nil {
			n, err := move(ctx)
			if err != nil {
				return
			}
			tr.count(n, as...)
		}
	})
	return cancel
}

type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (tr *traffic) count(n int, as ...string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	slot := int(time.Since(tr.begun) / (100 * time.Millisecond))
	for _, name := range as {
		for len(tr.moved[name]) <= slot {
			tr.moved[name] = append(tr.moved[name], 0)
		}
		tr.moved[name][slot] += int64(n)
	}
}

// rate is the bytes a second of what is counted as name, over the last seconds.
func (tr *traffic) rate(name string, seconds int) float64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	to := int(time.Since(tr.begun) / (100 * time.Millisecond))
	var sum int64
	for i, n := range tr.moved[name] {
		if i >= to-seconds*10 && i < to {
			sum += n
		}
	}
	return float64(sum) / float64(seconds)
}

// most is the largest rate over any ten seconds, from a moment on.
func (tr *traffic) most(name string, since time.Duration) float64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	all := tr.moved[name]
	all = all[min(int(since/(100*time.Millisecond)), len(all)):]
	var sum, most int64
	for i, n := range all {
		sum += n
		if i >= 100 {
			sum -= all[i-100]
		}
		most = max(most, sum)
	}
	return float64(most) / 10
}

// within checks that between four fifths and eleven tenths of a budget were used lately.
func (tr *traffic) within(what, name string, budget bandwidth.Rate, seconds int) {
	tr.t.Helper()
	if got := tr.rate(name, seconds) / float64(budget); got < 0.8 || got > 1.1 {
		tr.t.Errorf("%s: %.2f of the budget were used", what, got)
	}
}

func (tr *traffic) set(limits string) {
	tr.t.Helper()
	if _, err := tr.cat.ChangeBulk(tr.t.Context(), trafficBulk, metadata.BulkChange{Do: metadata.BulkSet, Settings: json.RawMessage(`{"limits":` + limits + `}`)}); err != nil {
		tr.t.Fatal(err)
	}
}

const mib = 1 << 20

// inTime runs fn in a time that is made up: minutes pass at once.
func inTime(t *testing.T, fn func(t *testing.T)) { synctest.Test(t, fn) }

// TestBudgetOfManyWorkers has workers of different speed share the budget of a bulk, which
// changes; one is killed, and one comes later.
func TestBudgetOfManyWorkers(t *testing.T) {
	inTime(t, func(t *testing.T) {
		budget := bandwidth.Rate(16 * mib)
		tr := newTraffic(t, 8, metadata.BulkLimits{Bandwidth: budget})
		var ends []func()
		var workers []*Bandwidth
		for i, speed := range []float64{100 * mib, 2 * mib, 100 * mib} {
			w := tr.worker(0)
			workers = append(workers, w)
			ends = append(ends, tr.start(w, transfer{item: 2*i + 1, speed: speed}), tr.start(w, transfer{item: 2*i + 2, speed: speed}))
		}
		time.Sleep(15 * time.Second)
		tr.within("three workers", "all", budget, 10)
		if slow := tr.rate("item3", 10) + tr.rate("item4", 10); slow < 3*mib {
			t.Errorf("the slow worker gets %.1f MiB a second of the 4 that it can use", slow/mib)
		}

		tr.set(`{"bandwidth":"64MiB"}`)
		time.Sleep(4 * time.Second)
		time.Sleep(5 * time.Second)
		tr.within("raised", "all", 64*mib, 5)

		tr.set(`{"bandwidth":"4MiB"}`)
		lowered := time.Since(tr.begun) + 3*time.Second
		time.Sleep(13 * time.Second)
		tr.within("lowered", "all", 4*mib, 10)

		workers[0].Stop() // killed: it says nothing any more
		ends[0]()
		ends[1]()
		time.Sleep(metadata.BandwidthLease + 5*time.Second)
		time.Sleep(10 * time.Second)
		tr.within("one was killed", "all", 4*mib, 10)

		late := tr.worker(0)
		ends = append(ends, tr.start(late, transfer{item: 7, speed: 100 * mib}))
		time.Sleep(14 * time.Second)
		tr.within("one has come", "all", 4*mib, 10)
		if got := tr.rate("item7", 10); got < 0.9*mib {
			t.Errorf("the one that has come gets %.2f MiB a second of its third of 4", got/mib)
		}
		if most := tr.most("all", lowered); most > 1.1*4*mib {
			t.Errorf("up to %.2f MiB a second of 4 within ten seconds", most/mib)
		}

		tr.set(`{"bandwidth":0}`)
		time.Sleep(5 * time.Second)
		if got := tr.rate("all", 3); got < 200*mib {
			t.Errorf("without a limit only %.2f MiB a second", got/mib)
		}
		for _, end := range ends {
			end()
		}
		tr.end()
	})
}

// end waits until nobody looks after shares any more.
func (tr *traffic) end() {
	tr.all.Wait()
	time.Sleep(2 * shareLinger)
}

// TestEveryBudget keeps those of hosts, stores and projects, all at once.
func TestEveryBudget(t *testing.T) {
	inTime(t, func(t *testing.T) {
		tr := newTraffic(t, 4, metadata.BulkLimits{BandwidthPerHost: 10 * mib, BandwidthPerStore: 3 * mib})
		const other = "1c0f6c52-3d5e-4b0e-9a55-0d7f6f1f8c22"
		tr.bulk(other, 2, metadata.BulkLimits{BandwidthPerProject: 24 * mib})
		a, b := tr.worker(0), tr.worker(0)
		ends := []func(){
			tr.start(a, transfer{item: 1, speed: 100 * mib}), tr.start(b, transfer{item: 2, speed: 100 * mib}), // h0
			tr.start(b, transfer{item: 3, speed: 100 * mib}), // h1
			tr.start(a, transfer{item: 1, speed: 100 * mib, store: "fast"}), tr.start(b, transfer{item: 2, speed: 100 * mib, store: "fast"}),
			tr.start(b, transfer{item: 2, speed: 100 * mib, store: "slow"}),
			tr.start(a, transfer{bulk: other, item: 1, speed: 100 * mib}),
		}
		time.Sleep(15 * time.Second)
		tr.within("store fast", "fast", 3*mib, 10)
		tr.within("store slow", "slow", 3*mib, 10)
		written := tr.rate("fast", 10) + tr.rate("slow", 10)
		if reads := tr.rate("all", 10) - written; reads < 0.8*24*mib || reads > 1.1*24*mib {
			t.Errorf("the project reads %.1f MiB a second of 24", reads/mib)
		}
		if got := tr.rate(trafficBulk, 10) - written; got > 1.1*20*mib {
			t.Errorf("two hosts give %.1f MiB a second of 20", got/mib)
		}
		for _, end := range ends {
			end()
		}
		tr.end()
	})
}

// TestCatalogueIsAway: what has a budget stops when its share has ended, and goes on when
// the catalogue answers again.
func TestCatalogueIsAway(t *testing.T) {
	inTime(t, func(t *testing.T) {
		tr := newTraffic(t, 2, metadata.BulkLimits{Bandwidth: 8 * mib})
		w := tr.worker(0)
		var log strings.Builder
		w.log = zerolog.New(&log)
		end := tr.start(w, transfer{item: 1, speed: 100 * mib})
		time.Sleep(10 * time.Second)
		tr.within("before", "all", 8*mib, 5)
		tr.repo.Down.Store(1 << 40)
		time.Sleep(metadata.BandwidthLease + 5*time.Second)
		if got := tr.rate("all", 3); got > 0 {
			t.Errorf("%.2f MiB a second when the share has ended", got/mib)
		}
		tr.repo.Down.Store(0)
		time.Sleep(8 * time.Second)
		tr.within("behind", "all", 8*mib, 5)
		if got := strings.Count(log.String(), "cannot be renewed"); got != 1 {
			t.Errorf("the log says %d times that shares cannot be renewed:\n%s", got, log.String())
		}
		end()
		tr.end()
	})
}

// silent is a catalogue that does not answer at all.
type silent struct{ metadata.Repository }

func (silent) InTx(ctx context.Context, _ func(metadata.Tx) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestCatalogueIsSilent: steps that begin do not queue up for a catalogue that says nothing.
func TestCatalogueIsSilent(t *testing.T) {
	inTime(t, func(t *testing.T) {
		w := NewBandwidth(metadata.New(silent{}), 0, zerolog.Nop())
		t.Cleanup(w.Stop)
		w.every = time.Hour
		begun := time.Now()
		for n := range 20 {
			w.join(t.Context(), metadata.BudgetKey{Kind: metadata.BudgetHost, Scope: trafficBulk, Name: fmt.Sprint(n)})
		}
		if took := time.Since(begun); took > 2*renewTime {
			t.Errorf("twenty steps wait %v", took)
		}
	})
}

// TestOwnBudgets are those of a process and of single imports.
func TestOwnBudgets(t *testing.T) {
	inTime(t, func(t *testing.T) {
		tr := newTraffic(t, 2, metadata.BulkLimits{})
		for n, r := range []bandwidth.Rate{2 * mib, 0} {
			activitytest.Accept(t, tr.cat, contract.ImportRequest{TaskID: ownTasks[n], ImageID: contract.DerivedImageID(ownTasks[n], 0), Owner: "p1", Bandwidth: r}, ownTasks[n])
		}
		w := tr.worker(10 * mib)
		var ends []func()
		for n, id := range ownTasks {
			ends = append(ends, tr.startTask(w, id, fmt.Sprint("own", n)), tr.startTask(w, id, fmt.Sprint("own", n)))
		}
		ends = append(ends, tr.start(w, transfer{item: 1, speed: 100 * mib}))
		time.Sleep(15 * time.Second)
		tr.within("the import", "own0", 2*mib, 10)
		tr.within("the process", "all", 10*mib, 10)
		for _, end := range ends {
			end()
		}
		tr.end()
		if len(w.shares)+len(w.imports) > 0 || w.keeping {
			t.Errorf("%d shares and %d imports are kept for nobody", len(w.shares), len(w.imports))
		}
	})
}

var ownTasks = []string{contract.DerivedTaskID("own0"), contract.DerivedTaskID("own1")}

// startTask begins a transfer of a task that is in no bulk.
func (tr *traffic) startTask(w *Bandwidth, id, name string) (end func()) {
	return tr.carry(w, id, func(ctx context.Context) (int, error) {
		time.Sleep(time.Millisecond)
		return bandwidth.Admit(ctx, 64<<10)
	}, name, "all")
}

// TestWants follows what a share is used for.
func TestWants(t *testing.T) {
	s := &share{bucket: bandwidth.NewShare(), users: 1}
	now := time.Now()
	var got []int64
	look := func(bytes int) {
		now = now.Add(time.Second)
		if bytes > 0 {
			if err := s.bucket.Take(t.Context(), bytes); err != nil {
				t.Fatal(err)
			}
		}
		s.measure(now, time.Second)
		got = append(got, s.want)
	}
	s.sampled = now
	look(0)
	s.set(metadata.BandwidthGrant{Limited: true, Bytes: 1 << 40}, now.Add(time.Hour))
	time.Sleep(time.Millisecond)
	look(800)
	look(0)
	s.bucket.Free()
	look(8 << 40)
	s.users = 0
	look(0)
	if want := []int64{metadata.AllBandwidth, 1 << 39, 1 << 38, 9 << 40, 0}; !slices.Equal(got, want) {
		t.Errorf("wants %v, want %v", got, want)
	}
}
