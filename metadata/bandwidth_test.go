package metadata_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/bandwidth"
	"ingest/metadata"
)

// A shareBench is a catalogue that several workers share, each with a clock of its own.
type shareBench struct {
	*fixture
	now   time.Time
	ahead map[string]time.Duration // of the workers' clocks
	own   map[string]*metadata.Catalogue
}

func newShareBench(t *testing.T) *shareBench {
	return &shareBench{fixture: newFixture(t), now: noon, ahead: map[string]time.Duration{}, own: map[string]*metadata.Catalogue{}}
}

var bulkBudget = metadata.BudgetKey{Kind: metadata.BudgetBulk, Scope: "b"}

// ask renews a worker's share, and returns it; -1 says that there is no limit.
func (s *shareBench) ask(worker string, key metadata.BudgetKey, want int64) int64 {
	s.t.Helper()
	if s.own[worker] == nil {
		s.own[worker] = metadata.New(s.repo, metadata.WithClock(func() time.Time { return s.now.Add(s.ahead[worker]) }))
	}
	got, err := s.own[worker].ShareBandwidth(s.t.Context(), worker, []metadata.BandwidthClaim{{Key: key, Want: want}})
	s.ok(err)
	if !got[0].Limited {
		return -1
	}
	return got[0].Bytes
}

// settled has workers ask in turn until nothing changes any more.
func (s *shareBench) settled(wants map[string]int64) string {
	var out []int64
	for range 4 {
		out = nil
		for i := range len(wants) {
			w := fmt.Sprint("w", i+1)
			out = append(out, s.ask(w, bulkBudget, wants[w]))
		}
		s.now = s.now.Add(time.Second)
	}
	return fmt.Sprint(out)
}

func (s *shareBench) limit(l metadata.BulkLimits) {
	s.bulk("b", metadata.BulkSettings{Limits: l}, bulkItems(2))
}

func TestFairShares(t *testing.T) {
	const all = metadata.AllBandwidth
	for name, tt := range map[string]struct {
		wants map[string]int64
		want  string
	}{
		"alone":               {map[string]int64{"w1": all}, "[16000]"},
		"alone, wants little": {map[string]int64{"w1": 10}, "[16000]"},
		"equals":              {map[string]int64{"w1": all, "w2": all, "w3": all, "w4": all}, "[4000 4000 4000 4000]"},
		"one is slow":         {map[string]int64{"w1": 2000, "w2": all, "w3": all}, "[2000 7000 7000]"},
		"one does nothing":    {map[string]int64{"w1": 0, "w2": all}, "[500 15500]"},
		"nobody wants it all": {map[string]int64{"w1": 2000, "w2": 4000}, "[7000 9000]"},
		"more than there is":  {map[string]int64{"w1": 1 << 40, "w2": 9000, "w3": 1000}, "[7500 7500 1000]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShareBench(t)
			s.limit(metadata.BulkLimits{Bandwidth: 16000})
			if got := s.settled(tt.wants); got != tt.want {
				t.Errorf("shares %s, want %s", got, tt.want)
			}
		})
	}
}

// TestSharesOfTheDead kills a worker: others get its share, but not before it has ended,
// and not later because a clock goes wrong.
func TestSharesOfTheDead(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"same clocks": 0, "goes ahead": time.Hour, "goes behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newShareBench(t)
			s.ahead["w1"] = ahead
			s.limit(metadata.BulkLimits{Bandwidth: 16000})
			const all = metadata.AllBandwidth
			if got := s.settled(map[string]int64{"w1": all, "w2": all}); got != "[8000 8000]" {
				t.Fatal(got)
			}
			died := s.now.Add(-time.Second) // when w2 asked last
			took := time.Duration(0)
			for s.ask("w1", bulkBudget, all) == 8000 {
				s.now = s.now.Add(100 * time.Millisecond)
				if took = s.now.Sub(died); took > 5*time.Minute {
					t.Fatal("the share of a dead worker is never given back")
				}
			}
			if took < metadata.BandwidthLease {
				t.Errorf("given away %v after it was granted for %v", took, metadata.BandwidthLease)
			}
			if took > metadata.BandwidthLease+3*time.Second {
				t.Errorf("given back only after %v", took)
			}
		})
	}
}

// TestSharesNeverExceed has workers come, go and want anything while the budget changes:
// what they hold together is never more than the largest budget that any share in force
// was granted under, and the budget itself once all have asked.
func TestSharesNeverExceed(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newShareBench(t)
		budget := bandwidth.Rate(1 << 20)
		s.limit(metadata.BulkLimits{Bandwidth: budget})
		held, until := map[string]int64{}, map[string]time.Time{}
		changed, most := s.now, budget
		for range 400 {
			s.now = s.now.Add(time.Duration(r.IntN(400)) * time.Millisecond)
			if r.IntN(40) == 0 {
				next := bandwidth.Rate(1<<10 + r.IntN(2<<20))
				_, err := s.ChangeBulk(t.Context(), "b", metadata.BulkChange{Do: metadata.BulkSet, Settings: fmt.Appendf(nil, `{"limits":{"bandwidth":%d}}`, next)})
				s.ok(err)
				most, budget, changed = max(most, next), next, s.now
			}
			if s.now.Sub(changed) > metadata.BandwidthLease {
				most = budget
			}
			w := fmt.Sprint("w", r.IntN(6))
			want := int64(metadata.AllBandwidth)
			if r.IntN(2) == 0 {
				want = r.Int64N(1 << 20)
			}
			held[w], until[w] = s.ask(w, bulkBudget, want), s.now.Add(metadata.BandwidthLease)
			var sum int64
			for w := range held {
				if until[w].After(s.now) {
					sum += held[w]
				}
			}
			if sum > int64(most) {
				t.Fatalf("seed %d: %d bytes a second are granted of %d", seed, sum, most)
			}
		}
	}
}

// TestBudgets finds each kind of budget where it stands, as it is now.
func TestBudgets(t *testing.T) {
	s := newShareBench(t)
	s.limit(metadata.BulkLimits{})
	keys := []metadata.BudgetKey{bulkBudget, {Kind: metadata.BudgetHost, Scope: "b", Name: "h1"}, {Kind: metadata.BudgetStore, Scope: "b", Name: "fast"}, {Kind: metadata.BudgetProject, Scope: "p"}}
	check := func(want ...int64) {
		t.Helper()
		var got []int64
		for _, k := range keys {
			got = append(got, s.ask("w", k, 0))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	set := func(id, settings string) {
		t.Helper()
		_, err := s.ChangeBulk(t.Context(), id, metadata.BulkChange{Do: metadata.BulkSet, Settings: []byte(settings)})
		s.ok(err)
	}
	check(-1, -1, -1, -1)
	set("b", `{"limits":{"bandwidth":"4KiB","bandwidth_per_host":5000,"bandwidth_per_store":6000,"bandwidth_per_project":7000}}`)
	check(4096, 5000, 6000, 7000)
	set("b", `{"limits":{"bandwidth":0}}`)
	check(-1, 5000, 6000, 7000)
	// Of what several bulks of a project say of it, the least holds for all of them.
	other := bulkItems(1)
	_, _, err := s.AddBulk(t.Context(), metadata.Bulk{ID: "c", Owner: "p", Digest: "other", WorkflowID: "bulk/p/c", Settings: metadata.BulkSettings{Limits: metadata.BulkLimits{BandwidthPerProject: 3000}}}, other, false)
	s.ok(err)
	check(-1, 5000, 6000, 3000)
	set("c", `{"limits":{"bandwidth_per_project":0}}`)
	check(-1, 5000, 6000, 7000)
	s.ok(s.RemoveBulk(t.Context(), "b"))
	check(-1, -1, -1, -1)
}

func TestBandwidthSettings(t *testing.T) {
	for _, l := range []metadata.BulkLimits{{Bandwidth: -1}, {BandwidthPerHost: 1023}, {BandwidthPerStore: bandwidth.Most + 1}, {BandwidthPerProject: 1}} {
		if (metadata.BulkSettings{Limits: l}).Check() == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}

// TestBulkItemOfTask tells tasks of bulks from others.
func TestBulkItemOfTask(t *testing.T) {
	s := newShareBench(t)
	s.limit(metadata.BulkLimits{})
	s.step("b", noon)
	it, err := s.BulkItemOfTask(t.Context(), "b-2-1")
	if err != nil || it == nil || it.N != 2 || it.BulkID != "b" || it.Host != "h2" {
		t.Errorf("%+v, %v", it, err)
	}
	if it, err := s.BulkItemOfTask(t.Context(), "another"); it != nil || err != nil {
		t.Errorf("%+v, %v", it, err)
	}
}
