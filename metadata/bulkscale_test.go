package metadata_test

import (
	"fmt"
	"testing"
	"time"

	"ingest/metadata"
)

// TestStepCostsWhatRuns takes steps of bulks of which all that is left must wait for its
// host or its store. A step looks at what runs, and not at all that waits: with two hundred
// times as many items it takes about as long.
func TestStepCostsWhatRuns(t *testing.T) {
	for _, c := range []struct {
		name  string
		waits func(*metadata.BulkItem)
		s     metadata.BulkSettings
	}{
		{"for its host", func(it *metadata.BulkItem) { it.Host = "h" }, metadata.BulkSettings{Limits: metadata.BulkLimits{PerHost: 2}}},
		{"for its store", func(it *metadata.BulkItem) { it.Store = "s" }, metadata.BulkSettings{Limits: metadata.BulkLimits{PerStore: 2}}},
		{"for its turn", func(*metadata.BulkItem) {}, metadata.BulkSettings{Limits: metadata.BulkLimits{Concurrency: 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			// Some steps are slow because the machine is busy: one that takes no longer than
			// enough will do.
			quickest := func(n int, enough time.Duration) time.Duration {
				items := bulkItems(n)
				for i := range items {
					c.waits(&items[i])
				}
				id := fmt.Sprint("b", n)
				f.bulk(id, c.s, items)
				if s := f.step(id, noon); s.Running != 2 {
					t.Fatalf("%d items run", s.Running)
				}
				least := time.Hour
				end := time.Now().Add(20 * time.Second)
				for tries := 0; tries < 20 || least > enough && time.Now().Before(end); tries++ {
					began := time.Now()
					if s := f.step(id, noon); s.Running != 2 || len(s.Begun) > 0 {
						t.Fatalf("%+v", s)
					}
					least = min(least, time.Since(began))
				}
				return least
			}
			few := quickest(100, time.Hour)
			most := 5*few + 2*time.Millisecond
			many := quickest(20_000, most)
			t.Logf("a step beside 100 items takes %v, beside 20,000 %v", few, many)
			if many > most {
				t.Errorf("a step takes longer the more items wait: %v beside 100, %v beside 20,000", few, many)
			}
		})
	}
}
